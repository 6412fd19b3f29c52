# The key of one's own, where customer_managed_key is on: the key, and who may use it for what.
#
# Roles use it by their own policies (local.key_use), and only through the services that they use anyway, so that each
# service's own policies still decide what they read. The key's policy lets in services that come in their own name.

locals {
  key_arn = one(aws_kms_key.this[*].arn)

  # Through which services each role reads and writes what is encrypted. Sending to SQS and SNS and uploading in parts
  # to S3 read too: the data key is checked, or taken up again. Lambda reads the function's settings by a grant of its
  # own, which ends with the role that it was made for; so a role made anew needs the right itself.
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
    analyst        = { reads = ["s3"], writes = ["s3"] } # no role of ours: athena.tf
  }

  # What each role's policy begins with: nothing, where the key is off.
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

  # Both actions are what kms:GenerateDataKey* means for a symmetric key.
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

# In a key's policy the resource "*" is the key itself.
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:The account administers its key, or nobody could; "*" is this key alone.
  #checkov:skip=CKV_AWS_111:As above.
  #checkov:skip=CKV_AWS_356:As above.

  # Without it, policies of the account's roles and users would say nothing about the key.
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

  # What the rules can't deliver goes into the queue. The queue stands for the source here: which rules may send to it,
  # the queue's own policy says. A condition on aws:SourceAccount or aws:SourceArn must not be added: EventBridge does
  # not pass them on to KMS when it delivers to something encrypted, and every event would be lost. CloudWatch does.
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

  description             = "Everything that ${local.name} keeps."
  enable_key_rotation     = true
  deletion_window_in_days = 30 # the longest: what it encrypted is lost with it
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = local.tags
}

# A permissions boundary of infra/bootstrap recognizes the key by this alias, so nothing that uses the key is made before.
resource "aws_kms_alias" "this" {
  count = var.customer_managed_key ? 1 : 0

  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

# Waits until the alias affects authorization, once, so that no function is refused when the first file comes.
# https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
resource "terraform_data" "key_in_effect" {
  count = var.customer_managed_key && var.permissions_boundary != null && var.key_wait_seconds > 0 ? 1 : 0

  triggers_replace = [aws_kms_alias.this[0].arn, aws_kms_key.this[0].key_id]

  provisioner "local-exec" {
    command = "sleep ${var.key_wait_seconds}"
  }
}
