# Tests monitoring and the customer managed key on a mocked AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "nothing_set" {
  # --- the schedule ---

  assert {
    condition = (
      aws_scheduler_schedule.reconcile[0].schedule_expression == "rate(1 hour)"
      && aws_scheduler_schedule.reconcile[0].flexible_time_window[0].mode == "OFF"
      && aws_scheduler_schedule.reconcile[0].target[0].arn == aws_lambda_alias.live["reconciler"].arn
      && aws_scheduler_schedule.reconcile[0].target[0].role_arn == aws_iam_role.scheduler[0].arn
      && aws_scheduler_schedule.reconcile[0].target[0].dead_letter_config[0].arn == aws_sqs_queue.on_failure.arn
    )
    error_message = "The schedule must invoke the reconciler's alias every hour, and send failed events to the queue."
  }

  # functions/reconciler reads these values.
  assert {
    condition     = jsondecode(aws_scheduler_schedule.reconcile[0].target[0].input) == { since_hours = 72, grace_minutes = 15 }
    error_message = "The schedule must pass the time range to the reconciler."
  }

  # --- alarms ---

  assert {
    condition = {
      for key, alarm in aws_cloudwatch_metric_alarm.this :
      key => "${alarm.statistic} ${alarm.namespace} ${alarm.metric_name} ${join(" ", values(alarm.dimensions))} ${alarm.evaluation_periods}×${alarm.period} ${alarm.treat_missing_data}"
      } == {
      on-failure-queue             = "Maximum AWS/SQS ApproximateNumberOfMessagesVisible order-pipeline-dev-on-failure 1×60 notBreaching"
      unaccounted                  = "Maximum order-pipeline-dev BatchesUnaccounted reconciler 1×300 ignore"
      reconciler-errors            = "Sum AWS/Lambda Errors order-pipeline-dev-reconciler 1×3600 notBreaching"
      reconciler-silent            = "Sum AWS/Lambda Invocations order-pipeline-dev-reconciler 25×3600 breaching"
      undelivered-starter          = "Sum AWS/Lambda DestinationDeliveryFailures order-pipeline-dev-starter 1×3600 notBreaching"
      undelivered-record-failure   = "Sum AWS/Lambda DestinationDeliveryFailures order-pipeline-dev-record-failure 1×3600 notBreaching"
      undelivered-record-run       = "Sum AWS/Lambda DestinationDeliveryFailures order-pipeline-dev-record-run 1×3600 notBreaching"
      undelivered-reconciler       = "Sum AWS/Lambda DestinationDeliveryFailures order-pipeline-dev-reconciler 1×3600 notBreaching"
      undelivered-execution-failed = "Sum AWS/Events InvocationsFailedToBeSentToDlq order-pipeline-dev-execution-failed 1×3600 notBreaching"
      undelivered-execution-ended  = "Sum AWS/Events InvocationsFailedToBeSentToDlq order-pipeline-dev-execution-ended 1×3600 notBreaching"
      undelivered-schedule         = "Sum AWS/Scheduler InvocationsFailedToBeSentToDeadLetterCount order-pipeline-dev 1×3600 notBreaching"
      notices-undelivered          = "Sum AWS/SNS NumberOfNotificationsFailed order-pipeline-dev-notices 1×300 notBreaching"
      execution-failed             = "Sum AWS/States ExecutionsFailed ${aws_sfn_state_machine.pipeline.arn} 1×60 notBreaching"
      execution-timed-out          = "Sum AWS/States ExecutionsTimedOut ${aws_sfn_state_machine.pipeline.arn} 1×60 notBreaching"
      execution-aborted            = "Sum AWS/States ExecutionsAborted ${aws_sfn_state_machine.pipeline.arn} 1×60 notBreaching"
      throttled-starter            = "Sum AWS/Lambda Throttles order-pipeline-dev-starter 3×300 notBreaching"
      throttled-validate           = "Sum AWS/Lambda Throttles order-pipeline-dev-validate 3×300 notBreaching"
    }
    error_message = "An alarm has the wrong metric, dimensions or threshold."
  }

  assert {
    condition = alltrue([
      for key, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_name == "order-pipeline-dev-${key}"
      && alarm.threshold == 1
      && alarm.comparison_operator == (key == "reconciler-silent" ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold")
      && alarm.alarm_actions == toset([aws_sns_topic.alarms.arn])
    ])
    error_message = "Every alarm must fire at the first breaching period, and notify the alarms topic."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.this), values(aws_cloudwatch_metric_alarm.reject_ratio)) :
      can(regex("pipeline (redrive|reconcile|replay|status)", alarm.alarm_description))
      && can(regex(" docs/guides/recover\\.md#[a-z-]+$", alarm.alarm_description))
      && length(alarm.alarm_description) <= 1024
    ])
    error_message = "Every alarm must say what to do and link to the runbook, in at most 1,024 characters."
  }

  # A metric reaches an alarm only with the same namespace and dimensions, which functions/common/telemetry.py sets.
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["unaccounted"].namespace == aws_lambda_function.this["reconciler"].environment[0].variables.POWERTOOLS_METRICS_NAMESPACE
      && aws_cloudwatch_metric_alarm.this["unaccounted"].dimensions.service == aws_lambda_function.this["reconciler"].environment[0].variables.POWERTOOLS_SERVICE_NAME
    )
    error_message = "The alarm and the reconciler must use the same metric."
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == null && aws_sns_topic.notices.kms_master_key_id == "alias/aws/sns"
    error_message = "CloudWatch can't publish to a topic with SNS's own key."
  }

  # --- the alarm on the share of rejects ---

  assert {
    condition = (
      toset(keys(aws_cloudwatch_metric_alarm.reject_ratio)) == toset(["orders"])
      && aws_cloudwatch_metric_alarm.reject_ratio["orders"].alarm_name == "order-pipeline-dev-reject-ratio-orders"
      && aws_cloudwatch_metric_alarm.reject_ratio["orders"].threshold == 0.05
      && aws_cloudwatch_metric_alarm.reject_ratio["orders"].comparison_operator == "GreaterThanThreshold"
      && aws_cloudwatch_metric_alarm.reject_ratio["orders"].treat_missing_data == "notBreaching"
      && aws_cloudwatch_metric_alarm.reject_ratio["orders"].alarm_actions == toset([aws_sns_topic.alarms.arn])
    )
    error_message = "Each dataset must have an alarm at half of max_reject_ratio."
  }

  assert {
    condition = {
      for query in aws_cloudwatch_metric_alarm.reject_ratio["orders"].metric_query :
      query.id => join(" ", concat([query.expression == null ? "" : query.expression], [for metric in query.metric : "${metric.stat} ${metric.metric_name} ${join(" ", values(metric.dimensions))}"]))
      } == {
      ratio    = "rejected / received"
      rejected = " Sum RecordsRejected orders write"
      received = " Sum RecordsReceived orders write"
    }
    error_message = "The share must use the metrics of write."
  }

  # --- the dashboard ---

  assert {
    condition     = aws_cloudwatch_dashboard.this[0].dashboard_name == "order-pipeline-dev" && output.dashboard_url == "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#dashboards/dashboard/order-pipeline-dev"
    error_message = "The dashboard must have the deployment's name."
  }

  assert {
    condition = toset(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets[0].properties.alarms) == toset([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.this), values(aws_cloudwatch_metric_alarm.reject_ratio)) :
      "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:${alarm.alarm_name}"
    ])
    error_message = "The dashboard must show every alarm."
  }

  # --- no budget ---

  assert {
    condition     = length(aws_budgets_budget.this) == 0
    error_message = "There must be no budget by default."
  }

  # --- no key ---

  assert {
    condition     = length(aws_kms_key.this) + length(aws_kms_alias.this) == 0
    error_message = "There must be no key by default, because it costs money."
  }
}

run "without_schedule" {
  variables {
    reconcile = { schedule = "off" }
  }

  assert {
    condition     = length(aws_scheduler_schedule.reconcile) + length(aws_scheduler_schedule_group.this) + length(aws_iam_role.scheduler) + length(aws_iam_role_policy.scheduler) == 0
    error_message = "Without a schedule, there must be no schedule group and no role for it."
  }

  assert {
    condition     = aws_lambda_alias.live["reconciler"].name == "live"
    error_message = "The reconciler must exist without a schedule, for manual runs."
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "reconciler-silent")
    error_message = "Without a schedule, there must be no alarm about missing runs."
  }
}

run "the_reconciler_may_be_silent_for_an_hour_longer_than_its_schedule" {
  variables {
    reconcile = { schedule = "rate(3 days)", since_hours = 168 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["reconciler-silent"].evaluation_periods == 73
    error_message = "The alarm must wait for the next run."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_metric_alarm.this["reconciler-silent"].alarm_description, "has not run for 73 hours")
    error_message = "The alarm's description must contain its period."
  }
}

run "the_longest_that_an_alarm_can_wait" {
  variables {
    reconcile = { schedule = "rate(167 hours)", since_hours = 400 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["reconciler-silent"].evaluation_periods * aws_cloudwatch_metric_alarm.this["reconciler-silent"].period == 604800
    error_message = "CloudWatch looks back at most 604,800 seconds."
  }
}

run "minutes_and_days_of_a_cron_expression" {
  variables {
    reconcile = { schedule = "cron(0 6,18 * * ? *)" }
  }

  assert {
    condition     = local.hours_between_runs == 24 && local.reconciler_silent_hours == 25
    error_message = "A cron expression for every day must run at least once a day."
  }
}

run "the_reconciler_on_weekdays" {
  variables {
    reconcile = { schedule = "cron(0 6 ? * MON-FRI *)", silent_hours = 74 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["reconciler-silent"].evaluation_periods == 74
    error_message = "A cron expression that skips days must require silent_hours."
  }
}

run "the_reconciler_once_a_month" {
  variables {
    reconcile = { schedule = "cron(0 6 1 * ? *)", since_hours = 1500, silent_hours = 0 }
  }

  assert {
    condition     = length(aws_scheduler_schedule.reconcile) == 1 && !contains(keys(aws_cloudwatch_metric_alarm.this), "reconciler-silent")
    error_message = "A monthly schedule must require silent_hours."
  }
}

run "alarms_as_wished" {
  variables {
    alarms      = { reject_ratio = 0, silent_hours = 72 }
    runbook_url = "https://example.org/docs/guides/recover.md"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.reject_ratio["orders"].threshold == 0
      && aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].evaluation_periods == 72
      && aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].period == 3600
      && aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].treat_missing_data == "breaching"
      && aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].metric_name == "FilesStarted"
    )
    error_message = "silent_hours must add an alarm per dataset, and reject_ratio may be 0."
  }

  assert {
    condition     = endswith(aws_cloudwatch_metric_alarm.this["nothing-arrives-orders"].alarm_description, " https://example.org/docs/guides/recover.md#nothing-arrives")
    error_message = "Alarms must link to runbook_url."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, "[Runbook](https://example.org/docs/guides/recover.md)") && strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, ":alarm:order-pipeline-dev-nothing-arrives-orders")
    error_message = "The dashboard must link to runbook_url and show every alarm."
  }
}

run "without_dashboard_and_log_queries" {
  variables {
    dashboard   = false
    log_queries = false
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0 && output.dashboard_url == null && length(aws_cloudwatch_query_definition.this) == 0
    error_message = "A resource must not exist if it is turned off."
  }
}

run "budget" {
  variables {
    notification_email = "somebody@example.org"
    budget             = { monthly_usd = 12.5 }
  }

  assert {
    condition = (
      aws_budgets_budget.this[0].name == "order-pipeline-dev"
      && aws_budgets_budget.this[0].limit_amount == "12.50"
      && tolist(aws_budgets_budget.this[0].cost_filter)[0].name == "TagKeyValue"
      && tolist(aws_budgets_budget.this[0].cost_filter)[0].values == tolist(["user:Deployment$order-pipeline-dev"])
    )
    error_message = "The budget must count only this deployment's costs."
  }

  assert {
    condition = toset([
      for notification in aws_budgets_budget.this[0].notification :
      "${notification.notification_type} ${notification.threshold} ${join(",", notification.subscriber_email_addresses)}"
    ]) == toset(["ACTUAL 80 somebody@example.org", "ACTUAL 100 somebody@example.org", "FORECASTED 100 somebody@example.org"])
    error_message = "The budget must notify before and when it is exceeded."
  }
}

run "budget_with_an_address_of_its_own" {
  variables {
    budget = { monthly_usd = 5, email = "money@example.org" }
  }

  assert {
    condition     = alltrue([for notification in aws_budgets_budget.this[0].notification : notification.subscriber_email_addresses == toset(["money@example.org"])])
    error_message = "The budget must notify its own e-mail address."
  }
}

run "who_has_not_confirmed_is_named" {
  variables {
    notification_email = "somebody@example.org"
  }

  override_resource {
    target = aws_sns_topic_subscription.email
    values = { pending_confirmation = true }
  }

  expect_failures = [check.subscriptions_are_confirmed]
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
    error_message = "The key must rotate, have an alias, and have the longest deletion window."
  }
}

# The boundary recognizes the key by its alias, which AWS may take minutes to apply.
run "files_wait_for_the_key_within_a_boundary" {
  command = plan

  variables {
    customer_managed_key = true
    permissions_boundary = "order-pipeline-boundary-dev"
  }

  assert {
    condition     = length(terraform_data.key_in_effect) == 1
    error_message = "A deployment must wait until the key's alias affects authorization."
  }
}

run "nothing_waits_without_a_boundary" {
  command = plan

  variables {
    customer_managed_key = true
  }

  assert {
    condition     = length(terraform_data.key_in_effect) == 0
    error_message = "Without a boundary, there must be no wait, because no permission depends on the alias."
  }
}
