# What watches the pipeline, and the key of one's own, on a mocked AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "schedule" {
  assert {
    condition = (
      aws_scheduler_schedule.reconcile[0].schedule_expression == "rate(1 hour)"
      && aws_scheduler_schedule.reconcile[0].flexible_time_window[0].mode == "OFF"
      && aws_scheduler_schedule.reconcile[0].target[0].arn == aws_lambda_alias.live["reconciler"].arn
      && aws_scheduler_schedule.reconcile[0].target[0].role_arn == aws_iam_role.scheduler[0].arn
      && aws_scheduler_schedule.reconcile[0].target[0].dead_letter_config[0].arn == aws_sqs_queue.on_failure.arn
    )
    error_message = "The schedule invokes the reconciler's alias every hour; what can't be delivered goes to the queue."
  }

  # functions/reconciler reads these.
  assert {
    condition     = jsondecode(aws_scheduler_schedule.reconcile[0].target[0].input) == { since_hours = 72, grace_minutes = 15 }
    error_message = "The schedule must say what the reconciler is to look at."
  }
}

run "without_schedule" {
  variables {
    reconcile = { schedule = "off" }
  }

  assert {
    condition     = length(aws_scheduler_schedule.reconcile) + length(aws_scheduler_schedule_group.this) + length(aws_iam_role.scheduler) + length(aws_iam_role_policy.scheduler) == 0
    error_message = "Without a schedule there must be neither group nor role for one."
  }

  assert {
    condition     = aws_lambda_alias.live["reconciler"].name == "live"
    error_message = "The reconciler stays, for who calls it by hand."
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "reconciler-silent")
    error_message = "What is not meant to run must not be missed."
  }
}

run "alarms" {
  assert {
    condition = {
      for key, alarm in aws_cloudwatch_metric_alarm.this :
      key => "${alarm.statistic} ${alarm.namespace} ${alarm.metric_name} ${jsonencode(alarm.dimensions)} ${alarm.period} ${alarm.treat_missing_data}"
      } == {
      on-failure-queue           = "Maximum AWS/SQS ApproximateNumberOfMessagesVisible {\"QueueName\":\"order-pipeline-dev-on-failure\"} 60 notBreaching"
      unaccounted                = "Maximum order-pipeline-dev BatchesUnaccounted {\"service\":\"reconciler\"} 300 ignore"
      reconciler-errors          = "Sum AWS/Lambda Errors {\"FunctionName\":\"order-pipeline-dev-reconciler\"} 3600 notBreaching"
      reconciler-silent          = "Sum AWS/Lambda Invocations {\"FunctionName\":\"order-pipeline-dev-reconciler\"} 86400 breaching"
      undelivered-starter        = "Sum AWS/Lambda DestinationDeliveryFailures {\"FunctionName\":\"order-pipeline-dev-starter\"} 3600 notBreaching"
      undelivered-record-failure = "Sum AWS/Lambda DestinationDeliveryFailures {\"FunctionName\":\"order-pipeline-dev-record-failure\"} 3600 notBreaching"
      undelivered-record-run     = "Sum AWS/Lambda DestinationDeliveryFailures {\"FunctionName\":\"order-pipeline-dev-record-run\"} 3600 notBreaching"
      undelivered-reconciler     = "Sum AWS/Lambda DestinationDeliveryFailures {\"FunctionName\":\"order-pipeline-dev-reconciler\"} 3600 notBreaching"
    }
    error_message = "An alarm watches something else than it should."
  }

  assert {
    condition = alltrue([
      for key, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_name == "order-pipeline-dev-${key}"
      && alarm.threshold == 1
      && alarm.comparison_operator == (key == "reconciler-silent" ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold")
      && alarm.evaluation_periods == 1
      && alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])
    ])
    error_message = "Every alarm goes off at the first, and to the topic of alarms."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : can(regex("pipeline (redrive|reconcile)", alarm.alarm_description)) && length(alarm.alarm_description) <= 1024])
    error_message = "Every alarm must say what to do, in 1,024 characters."
  }

  # A metric reaches an alarm only in exactly its namespace and dimensions: functions/common/telemetry.py takes them from these.
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["unaccounted"].namespace == aws_lambda_function.this["reconciler"].environment[0].variables.POWERTOOLS_METRICS_NAMESPACE
      && aws_cloudwatch_metric_alarm.this["unaccounted"].dimensions.service == aws_lambda_function.this["reconciler"].environment[0].variables.POWERTOOLS_SERVICE_NAME
    )
    error_message = "The alarm and the reconciler must mean the same metric."
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == null && aws_sns_topic.notices.kms_master_key_id == "alias/aws/sns"
    error_message = "CloudWatch can't publish to a topic with SNS's own key."
  }
}

run "customer_managed_key" {
  variables {
    customer_managed_key = true
  }

  assert {
    condition = (
      aws_kms_key.this[0].enable_key_rotation
      && aws_kms_key.this[0].deletion_window_in_days == 30
      && aws_kms_alias.this[0].name == "alias/order-pipeline-dev"
      && aws_kms_alias.this[0].target_key_id == aws_kms_key.this[0].key_id
      && output.kms_key_arn == aws_kms_key.this[0].arn
    )
    error_message = "The key rotates, has an alias, and its deletion can be called off for as long as AWS allows."
  }
}

run "no_key_by_default" {
  assert {
    condition     = length(aws_kms_key.this) + length(aws_kms_alias.this) == 0
    error_message = "A key costs money, and is made only where it is asked for."
  }
}
