# The events that invoke functions: an arriving file, and the end of an execution.

# --- A file arrives: S3 -> starter ---

resource "aws_s3_bucket_notification" "ingest" {
  bucket = aws_s3_bucket.this["ingest"].id

  lambda_function {
    id                  = "incoming"
    lambda_function_arn = aws_lambda_alias.live["starter"].arn
    events              = ["s3:ObjectCreated:*"]
    filter_prefix       = "incoming/"
  }

  # Events start only after everything that processes a file exists.
  depends_on = [
    aws_kms_alias.this,
    aws_lambda_permission.ingest,
    aws_lambda_function_event_invoke_config.live,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
    aws_sfn_state_machine.pipeline,
    terraform_data.key_in_effect,
  ]
}

# Also checks the account, because a bucket's ARN does not contain it, and anyone can reuse a deleted bucket's name.
resource "aws_lambda_permission" "ingest" {
  statement_id   = "ingest-bucket"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_alias.live["starter"].function_name
  qualifier      = aws_lambda_alias.live["starter"].name
  principal      = "s3.amazonaws.com"
  source_arn     = local.arn.ingest
  source_account = local.account_id
}

# --- An execution failed: EventBridge -> record_failure ---
# A definition can't catch the execution's own timeout, an abort, or a runtime error of the definition.
# record_failure skips executions that already have a failure record.

resource "aws_cloudwatch_event_rule" "execution_failed" {
  name        = "${local.name}-execution-failed"
  description = "Executions that failed, timed out or were aborted."
  tags        = local.tags

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
      stateMachineArn = [aws_sfn_state_machine.pipeline.arn]
    }
  })
}

resource "aws_cloudwatch_event_target" "record_failure" {
  rule      = aws_cloudwatch_event_rule.execution_failed.name
  target_id = "record-failure"
  arn       = aws_lambda_alias.live["record_failure"].arn

  retry_policy {
    maximum_event_age_in_seconds = 21600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.on_failure.arn
  }

  depends_on = [aws_lambda_permission.execution_failed, aws_lambda_function_event_invoke_config.live]
}

# No condition on the account: a rule's ARN contains it.
resource "aws_lambda_permission" "execution_failed" {
  statement_id  = "execution-failed-rule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_alias.live["record_failure"].function_name
  qualifier     = aws_lambda_alias.live["record_failure"].name
  principal     = "events.amazonaws.com"
  source_arn    = local.arn.failed_rule
}

# --- An execution ended: EventBridge -> record_run ---
# Outside the state machine, so it costs no transition and can't fail a run.

resource "aws_cloudwatch_event_rule" "execution_ended" {
  name        = "${local.name}-execution-ended"
  description = "Executions that ended, with any status."
  tags        = local.tags

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
      stateMachineArn = [aws_sfn_state_machine.pipeline.arn]
    }
  })
}

resource "aws_cloudwatch_event_target" "record_run" {
  rule      = aws_cloudwatch_event_rule.execution_ended.name
  target_id = "record-run"
  arn       = aws_lambda_alias.live["record_run"].arn

  retry_policy {
    maximum_event_age_in_seconds = 21600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.on_failure.arn
  }

  depends_on = [aws_lambda_permission.execution_ended, aws_lambda_function_event_invoke_config.live]
}

# No condition on the account, as above.
resource "aws_lambda_permission" "execution_ended" {
  statement_id  = "execution-ended-rule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_alias.live["record_run"].function_name
  qualifier     = aws_lambda_alias.live["record_run"].name
  principal     = "events.amazonaws.com"
  source_arn    = local.arn.ended_rule
}

# --- Failed events ---
# The failed-event queue holds events for which every retry failed, so nothing is lost and they can be sent again.

data "aws_iam_policy_document" "on_failure" {
  statement {
    sid       = "UndeliveredEvents"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn.on_failure]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn.failed_rule, local.arn.ended_rule]
    }
  }

  statement {
    sid       = "TlsOnly"
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

# The policy is inline and not a separate resource, because the provider waits 25 seconds after each change to a queue.
resource "aws_sqs_queue" "on_failure" {
  name                      = "${local.name}-on-failure"
  message_retention_seconds = 1209600 # 14 days, the maximum
  sqs_managed_sse_enabled   = var.customer_managed_key ? null : true
  kms_master_key_id         = local.key_arn
  policy                    = data.aws_iam_policy_document.on_failure.json
  tags                      = local.tags
}
