# The reconciler's schedule. By default, it finds files within an hour whose S3 or EventBridge events were lost.

locals {
  # Not null, because null means that the setting was omitted and has its default.
  is_scheduled = var.reconcile.schedule != "off"

  # The longest time between two runs. Null if it can't be derived, as for cron(0 6 ? * MON-FRI *).
  rate     = one(regexall("^rate\\((\\d+) (minute|hour|day)s?\\)$", var.reconcile.schedule)) # number and unit
  is_daily = can(regex("^cron\\(\\S+ +\\S+ +[*?] +\\* +[*?] +\\*\\)$", var.reconcile.schedule))
  hours_between_runs = (
    local.rate != null ? ceil(tonumber(local.rate[0]) * { minute = 1 / 60, hour = 1, day = 24 }[local.rate[1]]) :
    local.is_daily ? 24 : null
  )

  # A run may start an hour late, because the scheduler retries for that long.
  reconciler_silent_hours = (
    !local.is_scheduled ? 0 :
    var.reconcile.silent_hours != null ? var.reconcile.silent_hours : try(max(25, local.hours_between_runs + 1), 0)
  )
}

resource "aws_scheduler_schedule_group" "this" {
  count = local.is_scheduled ? 1 : 0

  name = local.name
  tags = local.tags
}

resource "aws_scheduler_schedule" "reconcile" {
  #checkov:skip=CKV_AWS_297:The schedule contains only two numbers, and EventBridge Scheduler encrypts it with an AWS key.
  count = local.is_scheduled ? 1 : 0

  name                = "${local.name}-reconcile"
  description         = "Looks for files without an outcome."
  group_name          = aws_scheduler_schedule_group.this[0].name
  schedule_expression = var.reconcile.schedule

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.live["reconciler"].arn
    role_arn = aws_iam_role.scheduler[0].arn
    input    = jsonencode({ since_hours = var.reconcile.since_hours, grace_minutes = var.reconcile.grace_minutes })

    # A later retry is not useful, because the next run checks the same files.
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 10
    }

    dead_letter_config {
      arn = aws_sqs_queue.on_failure.arn
    }
  }

  depends_on = [
    aws_iam_role_policy.scheduler,
    aws_lambda_function_event_invoke_config.live,
    terraform_data.key_in_effect,
  ]

  lifecycle {
    precondition {
      condition     = try(var.reconcile.since_hours >= 2 * local.hours_between_runs, local.hours_between_runs == null)
      error_message = "reconcile.since_hours must be at least twice the hours between two runs. Otherwise, a missed run would skip files permanently."
    }

    precondition {
      condition     = var.reconcile.silent_hours != null || try(local.hours_between_runs < 168, false)
      error_message = "reconcile.silent_hours must be set for this schedule, because the time between runs is unknown or at least a week. Set it to more hours than between two runs, up to 168, or to 0 to disable the alarm."
    }

    precondition {
      condition     = try(var.reconcile.silent_hours == 0 || var.reconcile.silent_hours > local.hours_between_runs, true)
      error_message = "reconcile.silent_hours must be more than the hours between two runs. Otherwise, the alarm would fire between runs. 0 disables the alarm."
    }
  }
}

# --- Its role ---

data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    # The ARN of the schedule's own group, because the scheduler never passes the ARN of a schedule here.
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn.schedules]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  count = local.is_scheduled ? 1 : 0

  name                 = "${local.name}-scheduler"
  description          = "Role of the schedule ${local.name}-reconcile."
  assume_role_policy   = data.aws_iam_policy_document.scheduler_trust.json
  permissions_boundary = local.permissions_boundary
  tags                 = local.tags
}

data "aws_iam_policy_document" "scheduler" {
  source_policy_documents = local.key_use.scheduler

  statement {
    sid       = "InvokeReconciler"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.arn.reconciler_live]
  }

  statement {
    sid       = "HandOverUndelivered"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn.on_failure]
  }
}

resource "aws_iam_role_policy" "scheduler" {
  count = local.is_scheduled ? 1 : 0

  name   = "permissions"
  role   = aws_iam_role.scheduler[0].id
  policy = data.aws_iam_policy_document.scheduler.json
}
