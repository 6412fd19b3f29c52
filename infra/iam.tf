# One role per function and one for the state machine, each with minimal permissions. The scheduler's role is in
# schedule.tf. EventBridge and S3 need no role, because the functions' resource policies in events.tf allow them to
# invoke. If customer_managed_key is on, a role's policy begins with its use of the key, from encryption.tf.

# ---------------------------------------------------------------------------------------------------------------
# Roles
# ---------------------------------------------------------------------------------------------------------------

locals {
  permissions_boundary = var.permissions_boundary == null ? null : "arn:${local.partition}:iam::${local.account_id}:policy/${var.permissions_boundary}"
}

# No condition on the account, because only functions of the same account can use a role.
data "aws_iam_policy_document" "lambda_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  name                 = each.value.name
  description          = "Role of the function ${each.value.name}."
  assume_role_policy   = data.aws_iam_policy_document.lambda_trust.json
  permissions_boundary = local.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "function" {
  for_each = {
    starter        = data.aws_iam_policy_document.starter.json
    validate       = data.aws_iam_policy_document.validate.json
    transform      = data.aws_iam_policy_document.transform.json
    write          = data.aws_iam_policy_document.write.json
    record_failure = data.aws_iam_policy_document.record_failure.json
    record_run     = data.aws_iam_policy_document.record_run.json
    reconciler     = data.aws_iam_policy_document.reconciler.json
  }

  name   = "permissions"
  role   = aws_iam_role.function[each.key].id
  policy = each.value
}

data "aws_iam_policy_document" "state_machine_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn.state_machine]
    }
  }
}

resource "aws_iam_role" "state_machine" {
  name                 = "${local.name}-state-machine"
  description          = "Role of the state machine ${local.name}."
  assume_role_policy   = data.aws_iam_policy_document.state_machine_trust.json
  permissions_boundary = local.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "state_machine" {
  name   = "permissions"
  role   = aws_iam_role.state_machine.id
  policy = data.aws_iam_policy_document.state_machine.json
}

# ---------------------------------------------------------------------------------------------------------------
# Permissions of every function
# ---------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "telemetry" {
  for_each = local.functions

  source_policy_documents = local.key_use[each.key]

  statement {
    sid       = "OwnLogGroup"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.regional}:log-group:/aws/lambda/${each.value.name}:*"]
  }

  statement {
    sid       = "Tracing"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"] # X-Ray doesn't support resources for these actions
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Permissions of several functions
# ---------------------------------------------------------------------------------------------------------------

# Without permission to list, S3 returns 403 instead of 404 for a missing object. The permission can't be limited to a
# prefix, because a request for one object has none. The reconciler and record_run also list objects.
data "aws_iam_policy_document" "list_ingest" {
  statement {
    sid       = "ListIngest"
    actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
    resources = [local.arn.ingest]
  }
}

data "aws_iam_policy_document" "list_processed" {
  statement {
    sid       = "ListProcessed"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.processed]
  }
}

# For functions that are invoked asynchronously: Lambda uses the function's role to send failed events to the queue.
data "aws_iam_policy_document" "failed_events" {
  statement {
    sid       = "HandOverFailedEvents"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn.on_failure]
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Permissions of each function
# ---------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "starter" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["starter"].json,
    data.aws_iam_policy_document.list_ingest.json,
    data.aws_iam_policy_document.failed_events.json,
  ]

  statement {
    sid       = "ReadIncoming"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${local.arn.ingest}/incoming/*"]
  }

  statement {
    sid       = "StartExecutions"
    actions   = ["states:StartExecution"]
    resources = [local.arn.state_machine]
  }
}

data "aws_iam_policy_document" "validate" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["validate"].json,
    data.aws_iam_policy_document.list_ingest.json,
  ]

  statement {
    sid       = "ReadIncoming"
    actions   = ["s3:GetObjectVersion"] # always with a version id
    resources = ["${local.arn.ingest}/incoming/*"]
  }

  statement {
    sid       = "WriteStaging"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.arn.processed}/staging/*"]
  }
}

data "aws_iam_policy_document" "transform" {
  source_policy_documents = [data.aws_iam_policy_document.telemetry["transform"].json]

  statement {
    sid       = "ReadAndWriteStaging"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${local.arn.processed}/staging/*"]
  }
}

data "aws_iam_policy_document" "write" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["write"].json,
    data.aws_iam_policy_document.list_ingest.json,
    data.aws_iam_policy_document.list_processed.json,
  ]

  # `write` reads superseded records from the source again for the rejects file.
  statement {
    sid       = "ReadIncoming"
    actions   = ["s3:GetObjectVersion"]
    resources = ["${local.arn.ingest}/incoming/*"]
  }

  statement {
    sid       = "ReadStaging"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.processed}/staging/*"]
  }

  # It also reads outputs, because it verifies a batch that is already committed.
  statement {
    sid     = "ReadAndWriteOutputs"
    actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = [
      "${local.arn.processed}/rejected/*",
      "${local.arn.processed}/processed/*",
      "${local.arn.processed}/tables/*",
    ]
  }

  # A single PUT, so a manifest is never incomplete.
  statement {
    sid       = "ReadAndWriteManifests"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.processed}/manifests/*"]
  }
}

data "aws_iam_policy_document" "record_failure" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["record_failure"].json,
    data.aws_iam_policy_document.list_processed.json,
    data.aws_iam_policy_document.failed_events.json,
  ]

  statement {
    sid       = "SeeWhatBecameOfTheBatch"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.processed}/manifests/*", "${local.arn.processed}/rejected/*"]
  }

  # It also reads failure records, because a second invocation returns the record of the first invocation.
  statement {
    sid       = "ReadAndWriteFailures"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.processed}/failures/*"]
  }

  # For executions that failed outside their failure branch: checks whether a notification was sent, and sends a missing
  # one.
  statement {
    sid       = "SeeWhetherNoticeWasSent"
    actions   = ["states:GetExecutionHistory"]
    resources = [local.arn.executions]
  }

  statement {
    sid       = "Notify"
    actions   = ["sns:Publish"]
    resources = [local.arn.topic]
  }
}

# record_run reads the execution's history, lists its objects in staging, and reads the manifest.
data "aws_iam_policy_document" "record_run" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["record_run"].json,
    data.aws_iam_policy_document.list_processed.json,
    data.aws_iam_policy_document.failed_events.json,
  ]

  statement {
    sid       = "ReadHistory"
    actions   = ["states:GetExecutionHistory"]
    resources = [local.arn.executions]
  }

  statement {
    sid       = "SeeWhatWasPublished"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.processed}/manifests/*"]
  }

  statement {
    sid       = "WriteRuns"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn.processed}/runs/*"]
  }
}

# The reconciler writes no objects itself. It starts executions, and invokes record_failure and record_run.
data "aws_iam_policy_document" "reconciler" {
  source_policy_documents = [
    data.aws_iam_policy_document.telemetry["reconciler"].json,
    data.aws_iam_policy_document.list_ingest.json,
    data.aws_iam_policy_document.list_processed.json,
    data.aws_iam_policy_document.failed_events.json,
  ]

  statement {
    sid       = "ReadIncoming"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${local.arn.ingest}/incoming/*"]
  }

  statement {
    sid       = "SeeWhatBecameOfIt"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn.processed}/manifests/*", "${local.arn.processed}/failures/*"]
  }

  statement {
    sid       = "StartExecutions"
    actions   = ["states:StartExecution"]
    resources = [local.arn.state_machine]
  }

  statement {
    sid       = "ListExecutions"
    actions   = ["states:ListExecutions"]
    resources = [local.arn.state_machine]
  }

  statement {
    sid       = "SeeExecutions"
    actions   = ["states:DescribeExecution"]
    resources = [local.arn.executions]
  }

  statement {
    sid       = "HaveFailuresRecorded"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.arn.record_failure_live]
  }
}

data "aws_iam_policy_document" "state_machine" {
  source_policy_documents = local.key_use.state_machine

  # All versions of these functions, because an execution that started before a deployment continues with the versions
  # that it started with.
  statement {
    sid       = "InvokeVersions"
    actions   = ["lambda:InvokeFunction"]
    resources = [for function in keys(local.task_seconds) : "${local.function_arn[function]}:*"]
  }

  statement {
    sid       = "Notify"
    actions   = ["sns:Publish"]
    resources = [local.arn.topic]
  }

  statement {
    sid = "DeliverLogs"
    actions = [
      "logs:CreateLogDelivery",
      "logs:GetLogDelivery",
      "logs:UpdateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:DescribeResourcePolicies",
      "logs:DescribeLogGroups",
    ]
    resources = ["*"] # log delivery actions don't support resources
  }

  statement {
    sid = "Tracing"
    actions = [
      "xray:PutTraceSegments",
      "xray:PutTelemetryRecords",
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
    ]
    resources = ["*"] # X-Ray does not support resources for these actions
  }
}
