# Tests the validation of each variable. A run checks that all of its variables are rejected, so it sets each only once.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "no_contracts" {
  command = plan

  variables {
    contracts_dir = "tests/mocks"
  }

  expect_failures = [aws_lambda_function.this]
}

run "wrong_kinds" {
  command = plan

  variables {
    project              = "Order_Pipeline"
    environment          = "production-of-orders"
    region               = "Frankfurt"
    tags                 = { "aws:owner" = "data" }
    notification_email   = "somebody"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
    key_wait_seconds     = 901
    lambda_runtime       = "python3.9"
    architecture         = "amd64"
    log_level            = "LOUD"
    log_retention_days   = 31
    memory_mb            = { write = 127 }
    timeout_seconds      = { starter = 901 }
    ephemeral_storage_mb = { starter = 511 }
    max_reject_ratio     = 1.1
    chunk_bytes          = 0
    max_object_bytes     = 0
    max_inflated_bytes   = 0
    max_inflation_ratio  = 0
    max_record_bytes     = 0
    max_nesting          = 0
    max_reject_bytes     = 0
    max_query_bytes      = 10485759
    first_ingest_date    = "2026-13-01"
    reconcile            = { schedule = "hourly" }
    alarms               = { reject_ratio = 1.1 }
    runbook_url          = "docs/guides/recover.md"
    retention_days       = { rejected = -1 }
  }

  expect_failures = [
    var.project,
    var.environment,
    var.region,
    var.tags,
    var.notification_email,
    var.permissions_boundary,
    var.key_wait_seconds,
    var.lambda_runtime,
    var.architecture,
    var.log_level,
    var.log_retention_days,
    var.memory_mb,
    var.timeout_seconds,
    var.ephemeral_storage_mb,
    var.max_reject_ratio,
    var.chunk_bytes,
    var.max_object_bytes,
    var.max_inflated_bytes,
    var.max_inflation_ratio,
    var.max_record_bytes,
    var.max_nesting,
    var.max_reject_bytes,
    var.max_query_bytes,
    var.first_ingest_date,
    var.reconcile,
    var.alarms,
    var.runbook_url,
    var.retention_days,
  ]
}

run "an_alarm_that_could_never_go_off" {
  command = plan

  variables {
    alarms = { reject_ratio = 0.1 }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.reject_ratio]
}

run "just_too_much" {
  command = plan

  variables {
    project              = "order-pipeline-of-orders-x" # 26 characters
    environment          = "dev-"
    notification_email   = "somebody@example.org, another@example.org"
    permissions_boundary = ""
    log_retention_days   = 0
    memory_mb            = { starter = 10241 }
    timeout_seconds      = { record_failure = 61 }
    ephemeral_storage_mb = { write = 10241 }
    max_reject_ratio     = -0.1
    chunk_bytes          = 1.5
    max_object_bytes     = 1.5
    max_inflated_bytes   = 1.5
    max_inflation_ratio  = 1.5
    max_record_bytes     = 1.5
    max_nesting          = 1001
    max_reject_bytes     = 1.5
    reconcile            = { schedule = "rate(1 hours)" }
    alarms               = { silent_hours = 169 }
    runbook_url          = "https://example.org/runbook.md#alarms"
    retention_days       = { staging = 1 }
  }

  expect_failures = [
    var.project,
    var.environment,
    var.notification_email,
    var.permissions_boundary,
    var.log_retention_days,
    var.memory_mb,
    var.timeout_seconds,
    var.ephemeral_storage_mb,
    var.max_reject_ratio,
    var.chunk_bytes,
    var.max_object_bytes,
    var.max_inflated_bytes,
    var.max_inflation_ratio,
    var.max_record_bytes,
    var.max_nesting,
    var.max_reject_bytes,
    var.reconcile,
    var.alarms,
    var.runbook_url,
    var.retention_days,
  ]
}

run "fractions" {
  command = plan

  variables {
    memory_mb            = { starter = 256.5 }
    timeout_seconds      = { starter = 30.5 }
    ephemeral_storage_mb = { write = 1024.5 }
    max_nesting          = 2.5
    reconcile            = { since_hours = 1.5 }
    alarms               = { silent_hours = 1.5 }
    retention_days       = { failures = 0.5 }
  }

  expect_failures = [
    var.memory_mb, var.timeout_seconds, var.ephemeral_storage_mb, var.max_nesting, var.reconcile, var.alarms,
    var.retention_days
  ]
}

run "reconciler_must_look_at_something" {
  command = plan

  variables {
    reconcile = { since_hours = 1, grace_minutes = 60 }
  }

  expect_failures = [var.reconcile]
}

run "the_reconciler_s_silence_must_be_said_where_cron_leaves_out_days" {
  command = plan

  variables {
    reconcile = { schedule = "cron(0 6 ? * MON-FRI *)" }
  }

  expect_failures = [aws_scheduler_schedule.reconcile]
}

run "the_reconciler_s_silence_must_be_said_of_months" {
  command = plan

  variables {
    reconcile = { schedule = "cron(0 6 * 1 ? *)" }
  }

  expect_failures = [aws_scheduler_schedule.reconcile]
}

run "the_reconciler_s_silence_must_be_said_where_no_alarm_waits_as_long" {
  command = plan

  variables {
    reconcile = { schedule = "rate(7 days)", since_hours = 400 }
  }

  expect_failures = [aws_scheduler_schedule.reconcile]
}

run "the_reconciler_s_silence_is_a_week_at_most" {
  command = plan

  variables {
    reconcile = { silent_hours = 169 }
  }

  expect_failures = [var.reconcile]
}

run "the_reconciler_s_silence_is_whole_hours" {
  command = plan

  variables {
    reconcile = { silent_hours = 25.5 }
  }

  expect_failures = [var.reconcile]
}

run "the_reconciler_s_silence_is_longer_than_from_run_to_run" {
  command = plan

  variables {
    reconcile = { schedule = "rate(2 days)", since_hours = 96, silent_hours = 48 }
  }

  expect_failures = [aws_scheduler_schedule.reconcile]
}

run "the_reconciler_must_look_back_over_two_runs" {
  command = plan

  variables {
    reconcile = { schedule = "rate(2 days)", since_hours = 95 }
  }

  expect_failures = [aws_scheduler_schedule.reconcile]
}

run "a_budget_is_money" {
  command = plan

  variables {
    budget = { monthly_usd = 0, email = "data@example.org" }
  }

  expect_failures = [var.budget]
}

run "a_budget_needs_an_address" {
  command = plan

  variables {
    budget = { monthly_usd = 20 }
  }

  expect_failures = [var.budget]
}

run "grace_is_whole_minutes" {
  command = plan

  variables {
    reconcile = { grace_minutes = 0 }
  }

  expect_failures = [var.reconcile]
}

run "manifests_outlive_what_they_name" {
  command = plan

  variables {
    retention_days = { incoming = 30, processed = 30, tables = 91, manifests = 90 }
  }

  expect_failures = [var.retention_days]
}

run "manifests_outlive_incoming_files_kept_for_ever" {
  command = plan

  variables {
    retention_days = { incoming = 0, processed = 30, tables = 30, manifests = 90 }
  }

  expect_failures = [var.retention_days]
}

run "manifests_outlive_replaced_versions" {
  command = plan

  variables {
    retention_days = { incoming = 30, processed = 30, tables = 30, manifests = 59, replaced = 30 }
  }

  expect_failures = [var.retention_days]
}

run "failures_outlive_the_files_that_failed" {
  command = plan

  variables {
    retention_days = { incoming = 0, failures = 365 }
  }

  expect_failures = [var.retention_days]
}

run "a_retention_that_fits" {
  command = plan

  variables {
    retention_days = { incoming = 30, processed = 60, tables = 60, manifests = 60, failures = 60, replaced = 30 }
  }
}
