# The roles for GitHub's workflows. GitHub's OIDC token identifies the repository and the job. Only a job of a GitHub
# environment can assume its deploy role, after the environment's reviewers approve it. Pull requests and the branch can
# assume the plan role, which can't change anything.

locals {
  with_github = var.repository != null
  issuer      = "token.actions.githubusercontent.com"

  oidc_provider_arn = coalesce(var.oidc_provider_arn, "arn:${local.partition}:iam::${local.account_id}:oidc-provider/${local.issuer}")

  # The roles and the subjects of GitHub's tokens that they trust.
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

# No thumbprints, because AWS already trusts GitHub's certificate authorities.
resource "aws_iam_openid_connect_provider" "github" {
  count = local.with_github && var.oidc_provider_arn == null ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = local.tags
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358:Checkov can't evaluate local.subjects, which contain one repository and no wildcard.
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

    # Without deployment branch rules, GitHub lets any branch use an environment.
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
  description          = each.key == "plan" ? "Reads the resources of ${var.project}, for plans on GitHub." : "Deploys ${var.project}-${trimprefix(each.key, "deploy-")}, from GitHub."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
  tags                 = local.tags

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_policy" "github" {
  for_each = local.policies

  name        = "${var.project}-${each.key}"
  description = "Policy of the role ${var.project}-${each.value.role}."
  policy      = each.value.document
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = length(each.value.document) <= 6144
      error_message = "AWS accepts policies of at most 6,144 characters, and ${each.key} has ${length(each.value.document)}. Lower local.statements_a_policy."
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

  # The state of a throw-away deployment is deleted with it.
  dynamic "statement" {
    for_each = each.key == "smoke" ? [1] : []

    content {
      sid       = "DeleteState"
      actions   = ["s3:DeleteObject"]
      resources = ["${local.state_arn}/${var.project}/${each.value}.tfstate"]
    }
  }
}
