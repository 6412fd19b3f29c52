# Changes the attributes that can only change by replacing the resource and that no variable sets: a plan with this file
# shows that AWS's provider replaces the resource for each.

resource "aws_athena_named_query" "this" {
  name        = "Changed"
  description = "Changed."
  query       = "SELECT 1"
}

resource "aws_cloudwatch_event_target" "record_failure" {
  target_id = "changed"
}

resource "aws_glue_catalog_table" "external" {
  name = "changed_${each.value.name}"
}

resource "aws_iam_role_policy" "scheduler" {
  name = "changed"
}

resource "aws_lambda_alias" "live" {
  name = "changed"
}

resource "aws_lambda_permission" "ingest" {
  statement_id   = "changed"
  action         = "lambda:GetFunction"
  principal      = "events.amazonaws.com"
  source_account = "111111111111"
}

resource "aws_sfn_state_machine" "pipeline" {
  type = "EXPRESS"
}

resource "aws_sns_topic_subscription" "email" {
  protocol = "email-json"
}
