# Questions to the logs, saved in CloudWatch Logs Insights. The functions write JSON, a line a step (functions/common/
# telemetry.py), and metrics as lines too; Step Functions writes an event of each execution's history.

locals {
  function_logs = [for key in keys(local.functions) : local.log_group[key]]

  log_queries = {
    story-of-a-batch = {
      logs  = concat(local.function_logs, [local.log_group.state_machine])
      about = "All that was said of one batch, in order: put its id in place of BATCH, twice."
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
      about = "Which files failed, the newest first. The failure record has the cause: pipeline status."
      text  = <<-EOT
        filter service = "record_failure" and event = "step_started"
        | stats max(@timestamp) as last by error, batch_id, execution
        | sort last desc
        | limit 100
      EOT
    }
    errors-by-name = {
      logs  = local.function_logs
      about = "What goes wrong most. One line a failed step, retries included."
      text  = <<-EOT
        filter level = "ERROR" and ispresent(error)
        | stats count(*) as times, count_distinct(batch_id) as batches, max(@timestamp) as last by error, service
        | sort times desc
      EOT
    }
    rejects-by-reason = {
      logs  = [local.log_group.write]
      about = "For which reasons records were rejected, also of files that were refused as a whole."
      text  = <<-EOT
        filter ispresent(RejectsByReason.0)
        | stats sum(RejectsByReason.0) as records, count(*) as files, max(@timestamp) as last by dataset, reason
        | sort records desc
      EOT
    }
    slowest-steps = {
      logs  = local.function_logs
      about = "How long the steps take that ended well, in milliseconds."
      text  = <<-EOT
        filter ispresent(milliseconds)
        | stats count(*) as calls, pct(milliseconds, 50) as p50, pct(milliseconds, 99) as p99, max(milliseconds) as longest by service
        | sort p99 desc
      EOT
    }
    slowest-calls = {
      logs  = local.function_logs
      about = "The 50 slowest calls: of which batch and chunk."
      text  = <<-EOT
        fields @timestamp, service, batch_id, chunk, milliseconds
        | filter ispresent(milliseconds)
        | sort milliseconds desc
        | limit 50
      EOT
    }
    memory = {
      logs  = local.function_logs
      about = "How much of its memory each function has used, in MB: what Lambda reports of each call."
      text  = <<-EOT
        filter @type = "REPORT"
        | stats max(@maxMemoryUsed / 1000000) as used, max(@memorySize / 1000000) as given, count(*) as calls by @log
        | sort used desc
      EOT
    }
    crashes = {
      logs  = local.function_logs
      about = "Calls and starts that ended without a word of their own: out of time, out of memory, killed."
      text  = <<-EOT
        filter @message like /Task timed out|Runtime exited|(Runtime|Extension|Sandbox)\.[A-Z]|INIT_REPORT .*Status: (error|timeout)/
        | fields @timestamp, @log, @message
        | sort @timestamp desc
        | limit 50
      EOT
    }
    troubled-states = {
      logs  = [local.log_group.state_machine]
      about = "Each task that failed or ran out of time, retried or not, and each execution that ended badly."
      text  = <<-EOT
        filter type like /Failed|TimedOut|Aborted/
        | fields @timestamp, type, details.error, details.cause, execution_arn
        | sort @timestamp desc
        | limit 200
      EOT
    }
  }
}

# The console shows what stands before a slash as a folder.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in local.log_queries : name => query if var.log_queries }

  name            = "${local.name}/${each.key}"
  log_group_names = each.value.logs
  query_string    = "# ${each.value.about}\n${trimspace(each.value.text)}"

  depends_on = [aws_cloudwatch_log_group.function, aws_cloudwatch_log_group.state_machine]
}
