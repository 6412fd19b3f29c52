# What GitHub's workflows are here. A token of GitHub's stands for one repository and for what runs there: a deploy role
# is taken on only by a job of its environment, which GitHub lets run when its reviewers have said yes; the plan role
# by pull requests and by the branch, and it changes nothing.

locals {
  with_github = var.repository != null
  issuer      = "token.actions.githubusercontent.com"

  oidc_provider_arn = coalesce(var.oidc_provider_arn, "arn:${local.partition}:iam::${local.account_id}:oidc-provider/${local.issuer}")

  # The roles, with whom they trust: the subjects of GitHub's tokens.
  subjects = local.with_github ? merge(
    { for name in keys(local.names) : "deploy-${name}" => ["repo:${var.repository}:environment:${name}"] },
    { plan = ["repo:${var.repository}:pull_request", "repo:${var.repository}:ref:refs/heads/${var.branch}"] },
  ) : {}

  # The policies of each role, from permissions.tf and below.
  granted = local.with_github ? merge(
    { for name in keys(local.names) : "deploy-${name}" => concat(local.documents[name], [data.aws_iam_policy_document.deploy_state[name].json]) },
    { plan = concat(local.documents.plan, [data.aws_iam_policy_document.plan_state.json]) },
  ) : {}

  policies = merge([
    for role, documents in local.granted : {
      for number, document in documents : "${role}-${number + 1}" => { role = role, document = document }
    }
  ]...)
}

# Without thumbprints: AWS knows GitHub's certificate authorities by itself.
resource "aws_iam_openid_connect_provider" "github" {
  count = local.with_github && var.oidc_provider_arn == null ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = local.tags
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358:It does not follow local.subjects, which name one repository and no wildcard.
  for_each = local.subjects

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = each.value
    }

    # GitHub may let any branch into an environment, where nobody has said which.
    dynamic "condition" {
      for_each = each.key == "plan" ? [] : [1]

      content {
        test     = "StringEquals"
        variable = "${local.issuer}:ref"
        values   = ["refs/heads/${var.branch}"]
      }
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.subjects

  name                 = "${var.project}-${each.key}"
  description          = each.key == "plan" ? "Reads what ${var.project} has, for GitHub's plans." : "Deploys ${var.project}-${trimprefix(each.key, "deploy-")}, from GitHub."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
  tags                 = local.tags

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_policy" "github" {
  for_each = local.policies

  name        = "${var.project}-${each.key}"
  description = "Of the role ${var.project}-${each.value.role}."
  policy      = each.value.document
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(each.value.document) <= 6144
      error_message = "AWS takes policies of at most 6,144 characters, and ${each.key} has ${length(each.value.document)}: lower local.statements_a_policy."
    }
  }
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = local.policies

  role       = aws_iam_role.github[each.value.role].name
  policy_arn = aws_iam_policy.github[each.key].arn
}

# ---------------------------------------------------------------------------------------------------------------
# The state
# ---------------------------------------------------------------------------------------------------------------

locals {
  states = merge({ for name in keys(var.environments) : name => "environments/${name}" }, { smoke = "smoke/smoke-*" })
}

data "aws_iam_policy_document" "plan_state" {
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [local.state_arn]
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = ["${local.state_arn}/${var.project}/environments/*.tfstate"]
  }
}

data "aws_iam_policy_document" "deploy_state" {
  for_each = local.states

  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [local.state_arn]
  }

  statement {
    sid       = "ReadAndWriteState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.state_arn}/${var.project}/${each.value}.tfstate"]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.state_arn}/${var.project}/${each.value}.tfstate.tflock"]
  }

  # A throw-away's state goes with it.
  dynamic "statement" {
    for_each = each.key == "smoke" ? [1] : []

    content {
      sid       = "DeleteState"
      actions   = ["s3:DeleteObject"]
      resources = ["${local.state_arn}/${var.project}/${each.value}.tfstate"]
    }
  }
}
