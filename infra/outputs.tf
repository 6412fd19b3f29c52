locals {
  console_domain = lookup(
    { aws-cn = "amazonaws.cn", aws-us-gov = "amazonaws-us-gov.com" },
    local.partition,
    "aws.amazon.com"
  )
  console = "https://${var.region}.console.${local.console_domain}"
}

output "name" {
  description = "The prefix of all names."
  value       = local.name
}

output "region" {
  description = "The AWS region of the deployment."
  value       = var.region
}

output "tags" {
  description = "The tags of every resource."
  value       = local.tags
}

output "ingest_bucket" {
  description = "The bucket to which producers upload files, under incoming/<dataset>/."
  value       = aws_s3_bucket.this["ingest"].bucket
}

output "processed_bucket" {
  description = "The bucket for everything that the pipeline writes."
  value       = aws_s3_bucket.this["processed"].bucket
}

output "state_machine_arn" {
  description = "The ARN of the state machine."
  value       = aws_sfn_state_machine.pipeline.arn
}

output "topic_arn" {
  description = "The ARN of the topic for notifications."
  value       = aws_sns_topic.notices.arn
}

output "alarms_topic_arn" {
  description = "The ARN of the topic for alarms."
  value       = aws_sns_topic.alarms.arn
}

output "on_failure_queue_url" {
  description = "The URL of the failed-event queue, which holds events that could not be processed."
  value       = aws_sqs_queue.on_failure.url
}

output "chunk_bytes" {
  description = "The planned size of one chunk of a JSON Lines file, in bytes."
  value       = var.chunk_bytes
}

output "kms_key_arn" {
  description = "The ARN of the customer managed KMS key. Null if customer_managed_key is off."
  value       = local.key_arn
}

output "athena_workgroup" {
  description = "The Athena workgroup for queries."
  value       = aws_athena_workgroup.this.name
}

output "databases" {
  description = "The Glue database of each dataset."
  value       = { for dataset, database in aws_glue_catalog_database.this : dataset => database.name }
}

output "analyst_policy" {
  description = "The IAM policy for analysts. Attach it to a role or a permission set."
  value       = data.aws_iam_policy_document.analyst.json
}

output "athena_console_url" {
  description = "Athena's query editor in the AWS console, with the saved queries."
  value       = "${local.console}/athena/home?region=${var.region}#/query-editor"
}

output "function_names" {
  description = "The name of each function."
  value       = { for key, function in aws_lambda_function.this : key => function.function_name }
}

output "log_group_names" {
  description = "The log group of each function, and of the state machine."
  value = merge(
    { for key, group in aws_cloudwatch_log_group.function : key => group.name },
    { state_machine = aws_cloudwatch_log_group.state_machine.name }
  )
}

output "state_machine_console_url" {
  description = "The state machine and its executions in the AWS console."
  value       = "${local.console}/states/home?region=${var.region}#/statemachines/view/${aws_sfn_state_machine.pipeline.arn}"
}

output "processed_console_url" {
  description = "The processed bucket in the AWS console."
  value       = "${local.console}/s3/buckets/${aws_s3_bucket.this["processed"].bucket}?region=${var.region}"
}

output "logs_console_url" {
  description = "CloudWatch Logs Insights in the AWS console, for the query logs_query."
  value       = "${local.console}/cloudwatch/home?region=${var.region}#logsV2:logs-insights"
}

output "upload_commands" {
  description = "The command that uploads a file, for each dataset."
  value = {
    for dataset in keys(local.contracts) :
    dataset => "aws s3 cp FILE s3://${aws_s3_bucket.this["ingest"].bucket}/incoming/${dataset}/ --region ${var.region}"
  }
}

output "logs_query" {
  description = "A Logs Insights query over log_group_names that returns all log lines of one batch."
  value       = "fields @timestamp, service, level, message | filter batch_id = 'BATCH' | sort @timestamp"
}

output "release" {
  description = "A hash of the deployed code, packages and contracts, which manifests record."
  value       = local.release
}

output "dashboard_url" {
  description = "The dashboard in the AWS console. Null if dashboard is off."
  value       = var.dashboard ? "${local.console}/cloudwatch/home?region=${var.region}#dashboards/dashboard/${local.name}" : null
}
