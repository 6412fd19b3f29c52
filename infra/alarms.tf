# Alarms that require action. Each description says what happened, what to do, and which section of docs/guides/recover.md
# applies. All alarms publish to the alarms topic.
#
# The functions' own metrics are in the namespace named after the deployment, with the dimension `service` and, for the
# metrics of a dataset, `dataset`. Lambda's metrics have the dimension FunctionName, which covers all versions and
# aliases.

locals {
  alarms = merge(
    {
      on-failure-queue = {
        description = "An event could not be processed and is in the queue ${local.name}-on-failure. Find the cause in the function's log and fix it. To send the events again, run: pipeline redrive."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = "${local.name}-on-failure" }
        statistic   = "Maximum"
        period      = 60
        missing     = "notBreaching"
      }
      unaccounted = {
        description = "A file has no outcome, and the reconciler can't recover it: its execution is stuck, or its manifest is missing. To list these files, run: pipeline reconcile."
        namespace   = local.name
        metric      = "BatchesUnaccounted"
        dimensions  = { service = "reconciler" }
        statistic   = "Maximum"
        period      = 300
        missing     = "ignore" # between two runs, the last result is still valid
      }
      reconciler-errors = {
        description = "The reconciler failed, so files without an outcome are not detected. Find the cause in the function's log and fix it. To check the files, run: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = local.functions.reconciler.name }
        statistic   = "Sum"
        period      = 3600 # an error counts at the start of the call, up to 15 minutes before it occurs
        missing     = "notBreaching"
      }
      notices-undelivered = {
        description = "A notification could not be delivered to a subscriber of ${local.name}-notices. Check the topic's subscriptions. The failure record has the same information. To read it, run: pipeline status."
        namespace   = "AWS/SNS"
        metric      = "NumberOfNotificationsFailed"
        dimensions  = { TopicName = "${local.name}-notices" }
        statistic   = "Sum"
        period      = 300
        missing     = "notBreaching"
      }
    },
    # Separate alarms, because each requires a different action.
    {
      for key, ended in {
        execution-failed    = { metric = "ExecutionsFailed", said = "An execution failed: a file was not published, or the notification about its rejects was not sent. The notification and the failure record contain the cause and the next step. To read them, run: pipeline status." }
        execution-timed-out = { metric = "ExecutionsTimedOut", said = "An execution timed out after six hours. Its file is not published. Find out which step was running. To process the file again, run: pipeline replay." }
        execution-aborted   = { metric = "ExecutionsAborted", said = "Someone stopped an execution. Its file is not published unless it has a manifest. Find out why it was stopped. To process the file again, run: pipeline replay." }
        } : key => {
        description = ended.said
        namespace   = "AWS/States"
        metric      = ended.metric
        dimensions  = { StateMachineArn = local.arn.state_machine }
        statistic   = "Sum"
        period      = 60
        missing     = "notBreaching"
      }
    },
    # A single throttled call is retried and harmless, but throttling for 15 minutes delays files. All functions share
    # the account's concurrency, so only two are watched: the one that receives files, and the one that is called most.
    # Lambda retries the calls of an event, and Step Functions retries the calls of a task.
    {
      for key, repeated in {
        starter  = "Lambda retries these events for six hours, and then sends them to the queue ${local.name}-on-failure."
        validate = "Step Functions retries each task for up to 18 minutes. Then the file fails with Lambda.TooManyRequestsException, and a replay publishes it."
        } : "throttled-${key}" => {
        runbook     = "throttled"
        description = "Lambda has throttled ${local.functions[key].name} for 15 minutes because the account's concurrency is exhausted, so files are delayed. ${repeated} To list running executions, run: pipeline status."
        namespace   = "AWS/Lambda"
        metric      = "Throttles"
        dimensions  = { FunctionName = local.functions[key].name }
        statistic   = "Sum"
        period      = 300
        periods     = 3
        missing     = "notBreaching"
      }
    },
    local.reconciler_silent_hours == 0 ? {} : {
      reconciler-silent = {
        description = "The reconciler has not run for ${local.reconciler_silent_hours} hours, so files without an outcome are not detected. Check the schedule ${local.name}-reconcile and its role. To check the files, run: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "Invocations"
        dimensions  = { FunctionName = local.functions.reconciler.name }
        statistic   = "Sum"
        period      = 3600 # not a day, because an alarm also evaluates some earlier periods, in which one call would clear the alarm
        periods     = local.reconciler_silent_hours
        missing     = "breaching"
        too_few     = true
      }
    },
    var.alarms.silent_hours == 0 ? {} : {
      for dataset in local.datasets : "nothing-arrives-${dataset}" => {
        runbook     = "nothing-arrives"
        description = "No file has arrived in incoming/${dataset}/ for ${var.alarms.silent_hours} hours. Ask the producers. To check whether S3 events were lost, run: pipeline reconcile."
        namespace   = local.name
        metric      = "FilesStarted"
        dimensions  = { service = "starter", dataset = dataset }
        statistic   = "Sum"
        period      = 3600
        periods     = var.alarms.silent_hours
        missing     = "breaching"
        too_few     = true
      }
    },
    {
      for key in local.live : "undelivered-${replace(key, "_", "-")}" => {
        runbook     = "undelivered"
        description = "An event that ${local.functions[key].name} could not process was not delivered to the queue either, and is lost. Check the queue's policy and key. To find the event's file, run: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "DestinationDeliveryFailures"
        dimensions  = { FunctionName = local.functions[key].name }
        statistic   = "Sum"
        period      = 3600 # as above
        missing     = "notBreaching"
      }
    },
    # EventBridge and its scheduler send events that they can't deliver to the same queue.
    {
      for rule in ["execution-failed", "execution-ended"] : "undelivered-${rule}" => {
        runbook     = "undelivered"
        description = "EventBridge could deliver the event of an execution's end neither to its target nor to the queue. Check the queue's policy and key. To send missing notifications, run: pipeline reconcile."
        namespace   = "AWS/Events"
        metric      = "InvocationsFailedToBeSentToDlq"
        dimensions  = { RuleName = "${local.name}-${rule}" }
        statistic   = "Sum"
        period      = 3600
        missing     = "notBreaching"
      }
    },
    local.is_scheduled ? {
      undelivered-schedule = {
        runbook     = "undelivered"
        description = "The schedule could neither invoke the reconciler nor send the event to the queue. Check the schedule's role and the queue's policy and key. To check the files, run: pipeline reconcile."
        namespace   = "AWS/Scheduler"
        metric      = "InvocationsFailedToBeSentToDeadLetterCount"
        dimensions  = { ScheduleGroup = local.name }
        statistic   = "Sum"
        period      = 3600
        missing     = "notBreaching"
      }
    } : {}
  )

  datasets = sort(keys(local.contracts))
  runbook  = coalesce(var.runbook_url, "docs/guides/recover.md")
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} ${local.runbook}#${try(each.value.runbook, each.key)}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = try(each.value.periods, 1)
  comparison_operator = try(each.value.too_few, false) ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = local.tags

  # An alarm that fires before it has permission to publish sends no notification, not even later.
  depends_on = [aws_sns_topic_policy.alarms]
}

# Covers published files only. A file above max_reject_ratio is not published, and its execution fails.
resource "aws_cloudwatch_metric_alarm" "reject_ratio" {
  for_each = toset(local.datasets)

  alarm_name          = "${local.name}-reject-ratio-${each.key}"
  alarm_description   = "A share of more than ${format("%g", local.reject_ratio)} of the records of ${each.key} was rejected within five minutes. The other records are published. The notification contains the reasons and the location of the rejects. To list files, run: pipeline status. ${local.runbook}#reject-ratio"
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.reject_ratio
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = local.tags

  metric_query {
    id          = "ratio"
    expression  = "rejected / received"
    label       = "share of rejected records"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { rejected = "RecordsRejected", received = "RecordsReceived" }

    content {
      id = metric_query.key

      metric {
        namespace   = local.name
        metric_name = metric_query.value
        dimensions  = { service = "write", dataset = each.key }
        stat        = "Sum"
        period      = 300
      }
    }
  }

  depends_on = [aws_sns_topic_policy.alarms]

  lifecycle {
    precondition {
      condition     = var.alarms.reject_ratio == null || try(var.alarms.reject_ratio < var.max_reject_ratio, true)
      error_message = "alarms.reject_ratio must be less than max_reject_ratio. Otherwise, the alarm could never fire, because a file above max_reject_ratio fails."
    }
  }
}

locals {
  reject_ratio = coalesce(var.alarms.reject_ratio, var.max_reject_ratio / 2)
}
