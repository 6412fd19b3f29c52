# Saved queries in CloudWatch Logs Insights. The functions log JSON lines (functions/common/telemetry.py) and metrics in
# EMF. Step Functions logs the events of each execution's history.

locals {
  function_logs = [for key in keys(local.functions) : local.log_group[key]]

  log_queries = {
    story-of-a-batch = {
      logs  = concat(local.function_logs, [local.log_group.state_machine])
      about = "All log lines of one batch, in order. Replace both occurrences of BATCH with its id."
      text  = <<-EOT
        fields @timestamp, coalesce(service, type) as who, coalesce(message, details.name) as said,
          coalesce(error, details.error) as problem, coalesce(cause, details.cause) as why, chunk, milliseconds
        | filter batch_id = "BATCH" or execution_arn like "BATCH"
        | sort @timestamp
        | limit 10000
      EOT
    }
    failed-files = {
      logs  = [local.log_group.record_failure]
      about = "Failed files, newest first. For the cause, see the failure record: pipeline status."
      text  = <<-EOT
        filter service = "record_failure" and event = "step_started"
        | stats max(@timestamp) as last by error, batch_id, execution
        | sort last desc
        | limit 100
      EOT
    }
    errors-by-name = {
      logs  = local.function_logs
      about = "The most frequent errors. Counts every failed step, including retries."
      text  = <<-EOT
        filter level = "ERROR" and ispresent(error)
        | stats count(*) as times, count_distinct(batch_id) as batches, max(@timestamp) as last by error, service
        | sort times desc
      EOT
    }
    rejects-by-reason = {
      logs  = [local.log_group.write]
      about = "Rejected records by reason, including those of failed files."
      text  = <<-EOT
        filter ispresent(RejectsByReason.0)
        | stats sum(RejectsByReason.0) as records, count(*) as files, max(@timestamp) as last by dataset, reason
        | sort records desc
      EOT
    }
    slowest-steps = {
      logs  = local.function_logs
      about = "The duration of successful steps, in milliseconds."
      text  = <<-EOT
        filter ispresent(milliseconds)
        | stats count(*) as calls, pct(milliseconds, 50) as p50, pct(milliseconds, 99) as p99, max(milliseconds) as longest by service
        | sort p99 desc
      EOT
    }
    slowest-calls = {
      logs  = local.function_logs
      about = "The 50 slowest calls, with batch and chunk."
      text  = <<-EOT
        fields @timestamp, service, batch_id, chunk, milliseconds
        | filter ispresent(milliseconds)
        | sort milliseconds desc
        | limit 50
      EOT
    }
    memory = {
      logs  = local.function_logs
      about = "The memory that each function used, in MB, as Lambda reports it for each call."
      text  = <<-EOT
        filter @type = "REPORT"
        | stats max(@maxMemoryUsed / 1000000) as used, max(@memorySize / 1000000) as given, count(*) as calls by @log
        | sort used desc
      EOT
    }
    crashes = {
      logs  = local.function_logs
      about = "Calls and initializations that timed out, ran out of memory, or were killed, and therefore ended without a log line."
      text  = <<-EOT
        filter @message like /Task timed out|Runtime exited|(Runtime|Extension|Sandbox)\.[A-Z]|INIT_REPORT .*Status: (error|timeout)/
        | fields @timestamp, @log, @message
        | sort @timestamp desc
        | limit 50
      EOT
    }
    troubled-states = {
      logs  = [local.log_group.state_machine]
      about = "Every task that failed or timed out, including those that were retried, and every execution that did not succeed."
      text  = <<-EOT
        filter type like /Failed|TimedOut|Aborted/
        | fields @timestamp, type, details.error, details.cause, execution_arn
        | sort @timestamp desc
        | limit 200
      EOT
    }
  }
}

# The console shows the part of a name up to a slash as a folder.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in local.log_queries : name => query if var.log_queries }

  name            = "${local.name}/${each.key}"
  log_group_names = each.value.logs
  query_string    = "# ${each.value.about}\n${trimspace(each.value.text)}"

  depends_on = [aws_cloudwatch_log_group.function, aws_cloudwatch_log_group.state_machine]
}
