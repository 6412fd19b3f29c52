# What somebody must look at. Each alarm says what it means and what to do; all go to the topic of alarms.
#
# The functions' own metrics are in the namespace of the deployment's name, in the dimension `service`; Lambda's are in
# FunctionName, which adds up all versions and aliases of a function.

locals {
  alarms = merge(
    {
      on-failure-queue = {
        description = "An event could not be handled, and waits in the queue ${aws_sqs_queue.on_failure.name}. The function's log says why. When that is mended, send the events again: pipeline redrive."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = aws_sqs_queue.on_failure.name }
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
    },
    local.is_scheduled ? {
      reconciler-silent = {
        description = "The reconciler has not run for a day: files without an outcome are not noticed meanwhile. Look at the schedule ${local.name}-reconcile and its role, and run it now: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "Invocations"
        dimensions  = { FunctionName = local.functions.reconciler.name }
        statistic   = "Sum"
        period      = 86400
        missing     = "breaching"
        too_few     = true
      }
    } : {},
    {
      for key in local.live : "undelivered-${replace(key, "_", "-")}" => {
        description = "An event that ${local.functions[key].name} could not handle did not get into the queue either, and is lost. Look at the queue's policy and key, then find the file that it was of: pipeline reconcile."
        namespace   = "AWS/Lambda"
        metric      = "DestinationDeliveryFailures"
        dimensions  = { FunctionName = local.functions[key].name }
        statistic   = "Sum"
        period      = 3600 # as above
        missing     = "notBreaching"
      }
    }
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  comparison_operator = try(each.value.too_few, false) ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = local.tags

  # An alarm that comes up before it may publish says nothing, and never again.
  depends_on = [aws_sns_topic_policy.alarms]
}
