# The mocked responses whose format the provider checks: account, ARNs, JSON.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{}" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
}

mock_resource "aws_lambda_function" {
  defaults = { version = "7" }
}

mock_resource "aws_lambda_alias" {
  defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:mocked:live" }
}

override_resource {
  target = aws_lambda_layer_version.this["aws"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:layer:aws:1" }
}

override_resource {
  target = aws_lambda_layer_version.this["json"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:layer:json:1" }
}

override_resource {
  target = aws_lambda_layer_version.this["schema"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:layer:schema:1" }
}

override_resource {
  target = aws_lambda_layer_version.this["sql"]
  values = { arn = "arn:aws:lambda:eu-central-1:123456789012:layer:sql:1" }
}

mock_resource "aws_sfn_state_machine" {
  defaults = { arn = "arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::mocked" }
}

mock_resource "aws_sqs_queue" {
  defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:mocked" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:mocked" }
}

# Different from the first topic's ARN, so a test can distinguish them.
override_resource {
  target = aws_sns_topic.alarms
  values = { arn = "arn:aws:sns:eu-central-1:123456789012:mocked-alarms" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-4333-8444-555555555555" }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:eu-central-1:123456789012:rule/mocked" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mocked" }
}
