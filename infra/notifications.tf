# The topic that people subscribe to. A notice names files, counts and reasons, never a record's content.

# With SNS's own key, roles of this account may publish; services such as CloudWatch alarms may not, since only a
# key of one's own can be opened to them.
resource "aws_sns_topic" "notices" {
  name              = "${local.name}-notices"
  display_name      = local.name
  kms_master_key_id = "alias/aws/sns"
  tags              = local.tags
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [local.arn.topic]

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

resource "aws_sns_topic_policy" "notices" {
  arn    = aws_sns_topic.notices.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.notification_email == null ? 0 : 1

  topic_arn = aws_sns_topic.notices.arn
  protocol  = "email"
  endpoint  = var.notification_email
}
