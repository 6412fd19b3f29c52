# Changes every attribute of infra/ that can change in place, for tests/e2e/test_second_apply.py. What a variable
# changes is not listed here: the test sets those variables. Terraform merges this file into the resources that it names:
# https://developer.hashicorp.com/terraform/language/files/override

resource "aws_athena_workgroup" "this" {
  force_destroy = false
}

resource "aws_budgets_budget" "this" {
  budget_type = "USAGE"
  limit_unit  = "GB"
  time_unit   = "QUARTERLY"

  cost_filter {
    name   = "TagKeyValue"
    values = ["user:Changed$yes"]
  }
}

resource "aws_cloudwatch_event_rule" "execution_failed" {
  description = "Changed."

  event_pattern = jsonencode({ source = ["aws.states"], detail-type = ["Changed"] })
}

resource "aws_cloudwatch_event_rule" "execution_ended" {
  description = "Changed."

  event_pattern = jsonencode({ source = ["aws.states"], detail-type = ["Changed"] })
}

resource "aws_cloudwatch_event_target" "record_failure" {
  arn = aws_lambda_alias.live["record_run"].arn

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 7
  }

  dead_letter_config {
    arn = "${aws_sqs_queue.on_failure.arn}-changed"
  }
}

resource "aws_cloudwatch_metric_alarm" "reject_ratio" {
  metric_query {
    id          = "ratio"
    expression  = "rejected / received"
    label       = "changed"
    return_data = true
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  alarm_actions       = []
  evaluation_periods  = 2
  threshold           = 2
  period              = 120
  statistic           = "Average"
  metric_name         = "Changed"
  namespace           = "Changed"
  dimensions          = { Changed = "yes" }
  treat_missing_data  = "ignore"
  comparison_operator = "GreaterThanThreshold"
}

resource "aws_glue_catalog_database" "this" {
  description = "Changed."
}

resource "aws_glue_catalog_table" "external" {
  description = "Changed."
  table_type  = "VIRTUAL_VIEW"
  parameters  = { EXTERNAL = "FALSE" }

  partition_keys {
    name = "changed"
    type = "string"
  }

  storage_descriptor {
    location = "s3://${local.buckets.processed}/changed/"
  }
}

resource "aws_glue_catalog_table" "view" {
  view_expanded_text = "/* Changed */"
  view_original_text = "/* Changed */"
}

resource "aws_iam_role" "function" {
  description          = "Changed."
  assume_role_policy   = data.aws_iam_policy_document.state_machine_trust.json
  permissions_boundary = "arn:${local.partition}:iam::${local.account_id}:policy/${var.permissions_boundary}"
}

resource "aws_iam_role_policy" "scheduler" {
  policy = data.aws_iam_policy_document.starter.json
}

resource "aws_kms_alias" "this" {
  target_key_id = aws_kms_key.other.key_id
}

resource "aws_kms_key" "this" {
  description             = "Changed."
  enable_key_rotation     = false
  deletion_window_in_days = 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Changed"
      Effect    = "Allow"
      Action    = "kms:*"
      Resource  = "*"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
    }]
  })
}

resource "aws_lambda_alias" "live" {
  description = "Changed."
}

resource "aws_lambda_function" "this" {
  architectures    = ["arm64"]
  description      = "Changed."
  filename         = local.package_file["starter"]
  handler          = "changed"
  kms_key_arn      = null
  layers           = [aws_lambda_layer_version.other.arn]
  role             = aws_iam_role.state_machine.arn
  runtime          = "provided.al2"
  source_code_hash = local.package_hash["starter"]

  logging_config {
    log_group  = aws_cloudwatch_log_group.state_machine.name
    log_format = "JSON"
  }

  tracing_config {
    mode = "PassThrough"
  }
}

resource "aws_lambda_function_event_invoke_config" "live" {
  maximum_retry_attempts       = 1
  maximum_event_age_in_seconds = 3600

  destination_config {
    on_failure {
      destination = aws_sns_topic.notices.arn
    }
  }
}

resource "aws_s3_bucket" "this" {
  force_destroy = false
}

resource "aws_s3_bucket_notification" "ingest" {
  lambda_function {
    id                  = "changed"
    lambda_function_arn = aws_lambda_alias.live["starter"].arn
    events              = ["s3:ObjectCreated:Put"]
    filter_prefix       = "incoming/"
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  rule {
    object_ownership = "BucketOwnerPreferred"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  block_public_acls       = false
  block_public_policy     = false
  ignore_public_acls      = false
  restrict_public_buckets = false
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  rule {
    bucket_key_enabled = false

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  versioning_configuration {
    status = "Suspended"
  }
}

resource "aws_scheduler_schedule" "reconcile" {
  description = "Changed."

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 5
  }
}

resource "aws_sfn_state_machine" "pipeline" {
  role_arn = aws_iam_role.function["starter"].arn

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*"
  }

  tracing_configuration {
    enabled = false
  }
}

resource "aws_sns_topic" "notices" {
  display_name      = "changed"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sqs_queue" "on_failure" {
  message_retention_seconds = 86400
  kms_master_key_id         = null
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "Changed"
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

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "Changed"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.arn[each.key]]

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

data "aws_iam_policy_document" "on_failure" {
  version = "2012-10-17"

  statement {
    sid       = "Changed"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.arn.on_failure]

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
