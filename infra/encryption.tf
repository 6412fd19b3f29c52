# The customer managed key, if customer_managed_key is on, and the permissions to use it.
#
# Roles use the key through their own policies (local.key_use), and only via services that they use anyway. The policies
# for those services still decide what a role can read. The key's policy allows services that act in their own name.

locals {
  key_arn = one(aws_kms_key.this[*].arn)

  # The services through which each role reads and writes encrypted data. Sending to SQS or SNS and multipart uploads to
  # S3 also need decryption, to verify or reuse the data key. Lambda reads a function's environment variables with its
  # own grant, which ends with the role for which it was created. A recreated role therefore needs the permission.
  key_users = {
    starter        = { reads = ["lambda", "s3", "sqs"], writes = ["sqs"] }
    validate       = { reads = ["lambda", "s3"], writes = ["s3"] }
    transform      = { reads = ["lambda", "s3"], writes = ["s3"] }
    write          = { reads = ["lambda", "s3"], writes = ["s3"] }
    record_failure = { reads = ["lambda", "s3", "sns", "sqs"], writes = ["s3", "sns", "sqs"] }
    record_run     = { reads = ["lambda", "s3", "sqs"], writes = ["s3", "sqs"] }
    reconciler     = { reads = ["lambda", "s3", "sqs"], writes = ["sqs"] }
    state_machine  = { reads = ["sns"], writes = ["sns"] }
    scheduler      = { reads = ["sqs"], writes = ["sqs"] }
    analyst        = { reads = ["s3"], writes = ["s3"] } # a policy without a role: athena.tf
  }

  # The first statements of each role's policy. Empty if the key is off.
  key_use = {
    for role in keys(local.key_users) : role => [
      for key, document in data.aws_iam_policy_document.key_use : document.json if key == role
    ]
  }
}

data "aws_iam_policy_document" "key_use" {
  for_each = var.customer_managed_key ? local.key_users : {}

  statement {
    sid       = "KeyToRead"
    actions   = ["kms:Decrypt"]
    resources = [local.key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in each.value.reads : "${service}.${var.region}.${local.dns_suffix}"]
    }
  }

  # For a symmetric key, kms:GenerateDataKey* means these two actions.
  statement {
    sid       = "KeyToWrite"
    actions   = ["kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]
    resources = [local.key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in each.value.writes : "${service}.${var.region}.${local.dns_suffix}"]
    }
  }
}

# In a key policy, the resource "*" is the key itself.
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:The account must be able to administer its key; "*" is only this key.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:As above.

  # Without it, policies of the account's roles and users would not apply to the key.
  statement {
    sid       = "AccountAdministers"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid = "OwnLogGroups"
    actions = [
      "kms:Encrypt",
      "kms:Decrypt",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyWithoutPlaintext",
    ]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.${local.dns_suffix}"]
    }

    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = [for name in values(local.log_group) : "arn:${local.partition}:logs:${local.regional}:log-group:${name}"]
    }
  }

  statement {
    sid       = "OwnAlarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.arn.alarms]
    }
  }

  # EventBridge sends events that it can't deliver to the queue, whose own policy limits which rules may send. Don't add
  # a condition on aws:SourceAccount or aws:SourceArn: EventBridge does not pass them to KMS when the target is
  # encrypted, and every event would be lost. CloudWatch passes them.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
  statement {
    sid       = "UndeliveredEvents"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:sqs:arn"
      values   = [local.arn.on_failure]
    }
  }
}

resource "aws_kms_key" "this" {
  count = var.customer_managed_key ? 1 : 0

  description             = "Encrypts everything that ${local.name} stores."
  enable_key_rotation     = true
  deletion_window_in_days = 30 # the maximum, because all encrypted data is lost with the key
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = local.tags
}

# The permissions boundary of infra/bootstrap recognizes the key by this alias, so resources that use the key depend on
# it.
resource "aws_kms_alias" "this" {
  count = var.customer_managed_key ? 1 : 0

  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

# Waits once until the alias affects authorization, so the first file does not fail with an access error.
# https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
resource "terraform_data" "key_in_effect" {
  count = var.customer_managed_key && var.permissions_boundary != null && var.key_wait_seconds > 0 ? 1 : 0

  triggers_replace = [aws_kms_alias.this[0].arn, aws_kms_key.this[0].key_id]

  provisioner "local-exec" {
    command = "sleep ${var.key_wait_seconds}"
  }
}
