# Two topics. The first carries notifications for producers and consumers of files, for example to a mailbox or channel.
# `alarms` is for the team that operates the pipeline, for example on call. Neither topic contains data of records.

# With SNS's own key, roles of this account may publish, but services may not, because only the policy of a customer
# managed key can allow them.
resource "aws_sns_topic" "notices" {
  name              = "${local.name}-notices"
  display_name      = local.name
  kms_master_key_id = coalesce(local.key_arn, "alias/aws/sns")
  tags              = local.tags
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch can publish only with a customer managed key (customer_managed_key), not with SNS's own; an alarm contains no data.
  name              = "${local.name}-alarms"
  display_name      = "${local.name} alarms"
  kms_master_key_id = local.key_arn
  tags              = local.tags
}

data "aws_iam_policy_document" "topic" {
  for_each = { notices = local.arn.topic, alarms = local.arn.alarms_topic }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

data "aws_iam_policy_document" "alarms_topic" {
  source_policy_documents = [data.aws_iam_policy_document.topic["alarms"].json]

  statement {
    sid       = "OwnAlarms"
    actions   = ["sns:Publish"]
    resources = [local.arn.alarms_topic]

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
}

resource "aws_sns_topic_policy" "notices" {
  arn    = aws_sns_topic.notices.arn
  policy = data.aws_iam_policy_document.topic["notices"].json
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms_topic.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.notification_email == null ? {} : { notices = aws_sns_topic.notices.arn, alarms = aws_sns_topic.alarms.arn }

  topic_arn = each.value
  protocol  = "email"
  endpoint  = var.notification_email
}

# An address receives nothing until its owner confirms the subscription. Terraform can't wait for that, so each plan and
# apply warns, and so does `pipeline deploy`.
check "subscriptions_are_confirmed" {
  assert {
    condition     = alltrue([for subscription in aws_sns_topic_subscription.email : !subscription.pending_confirmation])
    error_message = "${coalesce(var.notification_email, "Nobody")} has not confirmed both subscriptions and does not receive all notifications and alarms yet. Follow the link in each of the two e-mails \"AWS Notification - Subscription Confirmation\"."
  }
}
