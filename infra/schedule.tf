# The reconciler's timetable: what S3 has never told of, or EventBridge never brought, is found within the hour.

locals {
  # Not null: that is what a setting left out is, which gets its default.
  is_scheduled = var.reconcile.schedule != "off"

  # From one run to the next, at most; null where the expression does not say, as of cron(0 6 ? * MON-FRI *).
  rate     = one(regexall("^rate\\((\\d+) (minute|hour|day)s?\\)$", var.reconcile.schedule)) # number and unit
  is_daily = can(regex("^cron\\(\\S+ +\\S+ +[*?] +\\* +[*?] +\\*\\)$", var.reconcile.schedule))
  hours_between_runs = (
    local.rate != null ? ceil(tonumber(local.rate[0]) * { minute = 1 / 60, hour = 1, day = 24 }[local.rate[1]]) :
    local.is_daily ? 24 : null
  )

  # A run may come an hour late: for so long the scheduler tries again.
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
  #checkov:skip=CKV_AWS_297:The schedule holds two numbers, and EventBridge Scheduler encrypts it with a key of AWS's.
  count = local.is_scheduled ? 1 : 0

  name                = "${local.name}-reconcile"
  description         = "Looks for files that have no outcome."
  group_name          = aws_scheduler_schedule_group.this[0].name
  schedule_expression = var.reconcile.schedule

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.live["reconciler"].arn
    role_arn = aws_iam_role.scheduler[0].arn
    input    = jsonencode({ since_hours = var.reconcile.since_hours, grace_minutes = var.reconcile.grace_minutes })

    # Of no use for longer: the next run looks at the same files.
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
      error_message = "reconcile.since_hours must be at least twice the hours from one run to the next: after a missed run files would else never be looked at."
    }

    precondition {
      condition     = var.reconcile.silent_hours != null || try(local.hours_between_runs < 168, false)
      error_message = "reconcile.silent_hours must be set for this schedule: how long there is no run can't be told from it, or is a week and more. Set it to more hours than from one run to the next, up to 168, or to 0 for no alarm."
    }

    precondition {
      condition     = try(var.reconcile.silent_hours == 0 || var.reconcile.silent_hours > local.hours_between_runs, true)
      error_message = "reconcile.silent_hours must be more than the hours from one run to the next, or the alarm goes off between two of them; 0 for no alarm."
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

    # The group: the scheduler never names a schedule here. That is why the group is ours and not the default one.
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
