# What somebody must look at. Each alarm says what it means and what to do, and names its section of docs/guides/recover.md;
# all go to the topic of alarms.
#
# The functions' own metrics are in the namespace of the deployment's name, in the dimension `service` and, where they
# belong to a feed, `dataset`; Lambda's are in FunctionName, which adds up all versions and aliases of a function.

locals {
  alarms = merge(
    {
      on-failure-queue = {
        description = "An event could not be handled, and waits in the queue ${local.name}-on-failure. The function's log says why. When that is mended, send the events again: pipeline redrive."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = "${local.name}-on-failure" }
        statistic   = "Maximum"
        period      = 60
        missing     = "notBreaching"
      }
      unaccounted = {
        description = "A file has no outcome, and the reconciler can't give it one: its execution is stuck, or its manifest is gone. See which: pipeline reconcile."
        namespace   = local.name
        metric      = "BatchesUnaccounted"
        dimensions  = { service = "reconciler" }
        statistic   = "Maximum"
        period      = 300
        missing     = "ignore" # between two runs what the last one said is still true
      }
      reconciler-errors = {
        description = "The reconciler failed: files without an outcome are not noticed meanwhile. Its log says why. When that is mended, run it now: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "Errors"
        dimensions  = { FunctionName = local.functions.reconciler.name }
        statistic   = "Sum"
        period      = 3600 # an error counts at the time of its call, up to 15 minutes before it is known
        missing     = "notBreaching"
      }
      notices-undelivered = {
        description = "A notice could not be delivered to somebody who subscribes to ${local.name}-notices. Look at the topic's subscriptions; what the notice said stands in the failure record: pipeline status."
        namespace   = "AWS/SNS"
        metric      = "NumberOfNotificationsFailed"
        dimensions  = { TopicName = "${local.name}-notices" }
        statistic   = "Sum"
        period      = 300
        missing     = "notBreaching"
      }
    },
    # Each by itself, since each wants something else done.
    {
      for key, ended in {
        execution-failed    = { metric = "ExecutionsFailed", said = "An execution failed: a file was not published, or a notice of its rejects not sent. The notice and the failure record say why and what to do next: pipeline status." }
        execution-timed-out = { metric = "ExecutionsTimedOut", said = "An execution ran for six hours and was ended. Nothing of its file is published. See where it stood, and run it again: pipeline replay." }
        execution-aborted   = { metric = "ExecutionsAborted", said = "Somebody stopped an execution. Nothing of its file is published unless a manifest says so. Find out why, and run it again: pipeline replay." }
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
    # One call that Lambda refuses is tried again and harms nothing; for a quarter of an hour it holds up files. The
    # function where files come in, and the one that is called most: all share what the account has. Who repeats a
    # refused call, and for how long, differs: Lambda an event, Step Functions a task.
    {
      for key, repeated in {
        starter  = "Lambda keeps these events and repeats them for six hours, and then puts them into the queue ${local.name}-on-failure."
        validate = "Step Functions repeats each of these tasks for up to 18 minutes, and then its file fails with Lambda.TooManyRequestsException; a replay publishes it."
        } : "throttled-${key}" => {
        runbook     = "throttled"
        description = "Lambda has refused calls of ${local.functions[key].name} for 15 minutes, so files wait: the account's concurrency is used up. ${repeated} See what runs: pipeline status."
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
        description = "The reconciler has not run for ${local.reconciler_silent_hours} hours: files without an outcome are not noticed meanwhile. Look at the schedule ${local.name}-reconcile and its role, and run it now: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "Invocations"
        dimensions  = { FunctionName = local.functions.reconciler.name }
        statistic   = "Sum"
        period      = 3600 # not a day: an alarm looks back at some periods more, and one call in them would be enough
        periods     = local.reconciler_silent_hours
        missing     = "breaching"
        too_few     = true
      }
    },
    var.alarms.silent_hours == 0 ? {} : {
      for dataset in local.feeds : "nothing-arrives-${dataset}" => {
        runbook     = "nothing-arrives"
        description = "For ${var.alarms.silent_hours} hours no file has come into incoming/${dataset}/. Ask who sends them; whether S3 has told of all that came: pipeline reconcile."
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
        description = "An event that ${local.functions[key].name} could not handle did not get into the queue either, and is lost. Look at the queue's policy and key, then find the file that it was of: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "DestinationDeliveryFailures"
        dimensions  = { FunctionName = local.functions[key].name }
        statistic   = "Sum"
        period      = 3600 # as above
        missing     = "notBreaching"
      }
    },
    # EventBridge and its scheduler put what they can't deliver into the same queue.
    {
      for rule in ["execution-failed", "execution-ended"] : "undelivered-${rule}" => {
        runbook     = "undelivered"
        description = "EventBridge could not tell of an execution's end, nor put that into the queue. Look at the queue's policy and key, then have told what was not: pipeline reconcile."
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
        description = "The schedule could not call the reconciler, nor put that into the queue. Look at the schedule's role, the queue's policy and key; run it now: pipeline reconcile."
        namespace   = "AWS/Scheduler"
        metric      = "InvocationsFailedToBeSentToDeadLetterCount"
        dimensions  = { ScheduleGroup = local.name }
        statistic   = "Sum"
        period      = 3600
        missing     = "notBreaching"
      }
    } : {}
  )

  feeds   = sort(keys(local.contracts))
  runbook = coalesce(var.runbook_url, "docs/guides/recover.md")
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

  # An alarm that comes up before it may publish says nothing, and never again.
  depends_on = [aws_sns_topic_policy.alarms]
}

# Of what is published: a file with more than max_reject_ratio is not, and fails its execution.
resource "aws_cloudwatch_metric_alarm" "reject_ratio" {
  for_each = toset(local.feeds)

  alarm_name          = "${local.name}-reject-ratio-${each.key}"
  alarm_description   = "More than ${format("%g", local.reject_ratio)} of the records of ${each.key} that came within five minutes were rejected. The rest is published. The notice says why they were rejected, and where they lie: pipeline status. ${local.runbook}#reject-ratio"
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.reject_ratio
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = local.tags

  metric_query {
    id          = "ratio"
    expression  = "rejected / received"
    label       = "rejected, of 1"
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
      error_message = "alarms.reject_ratio must be below max_reject_ratio: a file with more rejects fails, and one with fewer would never raise the alarm."
    }
  }
}

locals {
  reject_ratio = coalesce(var.alarms.reject_ratio, var.max_reject_ratio / 2)
}
