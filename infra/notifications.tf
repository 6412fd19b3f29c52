# Two topics: notices, for those who sent a file or wait for it, and alarms, for those who run the pipeline. A team
# sends the first to a mailbox or channel, the second to whoever is on call. Neither holds a record's content.

# With SNS's own key, roles of this account may publish; services may not, since only a key of one's own can be opened
# to them.
resource "aws_sns_topic" "notices" {
  name              = "${local.name}-notices"
  display_name      = local.name
  kms_master_key_id = coalesce(local.key_arn, "alias/aws/sns")
  tags              = local.tags
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch can't publish with SNS's own key, only with a key of one's own (customer_managed_key); an alarm names resources, no data.
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

# Nothing reaches an address that has not confirmed. Terraform can't wait for a person, and says so at each plan and
# apply; pipeline deploy says it too.
check "subscriptions_are_confirmed" {
  assert {
    condition     = alltrue([for subscription in aws_sns_topic_subscription.email : !subscription.pending_confirmation])
    error_message = "${coalesce(var.notification_email, "Nobody")} has not confirmed each subscription yet, and gets no notice or no alarm until then. Follow the link in each of AWS's two mails (\"AWS Notification - Subscription Confirmation\")."
  }
}
