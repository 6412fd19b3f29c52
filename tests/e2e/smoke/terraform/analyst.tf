# Somebody with analyst_policy and nothing else: the second apply of `pipeline smoke` adds this role, and the checks of
# Athena use it. Only identities of the account that may assume roles can, and it is destroyed with everything else.

data "aws_iam_policy_document" "analyst_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }
}

resource "aws_iam_role" "analyst" {
  name                 = "${local.name}-analyst"
  description          = "Has analyst_policy and nothing else, for the smoke test."
  assume_role_policy   = data.aws_iam_policy_document.analyst_trust.json
  permissions_boundary = local.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "analyst" {
  name   = "analyst_policy"
  role   = aws_iam_role.analyst.id
  policy = data.aws_iam_policy_document.analyst.json
}

output "analyst_role_arn" {
  description = "The role of the smoke test's analyst."
  value       = aws_iam_role.analyst.arn
}
