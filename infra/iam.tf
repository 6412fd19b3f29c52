# One role a function and one for the state machine, each with what it needs and no more; the scheduler's stands beside
# its schedule. EventBridge and S3 need no role: they invoke by the functions' resource policies in events.tf. Where
# customer_managed_key is on, a role's policy begins with its use of the key, from encryption.tf.

# ---------------------------------------------------------------------------------------------------------------
# Roles
# ---------------------------------------------------------------------------------------------------------------

locals {
  permissions_boundary = var.permissions_boundary == null ? null : "arn:${local.partition}:iam::${local.account_id}:policy/${var.permissions_boundary}"
}

# Without a condition on the account: a role can be given only to functions of its own account.
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
# What every function may do
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
    resources = ["*"] # X-Ray takes no resource here
  }
}

# ---------------------------------------------------------------------------------------------------------------
# What several functions may do
# ---------------------------------------------------------------------------------------------------------------

# Without permission to list, S3 responds to a request for a missing object that it is forbidden. It can't be narrowed
# to a prefix, since a request for one object names none. The reconciler and record_run list objects, too.
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

# For functions that are invoked asynchronously: Lambda sends an event whose function failed to the queue in their name.
data "aws_iam_policy_document" "failed_events" {
  statement {
    sid       = "HandOverFailedEvents"
    actions   = ["sqs:SendMessage"]
    resources = [local.arn.on_failure]
  }
}

# ---------------------------------------------------------------------------------------------------------------
# What each function may do
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
    actions   = ["s3:GetObjectVersion"] # it names the version, always
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

  # What is superseded, to list it among the rejects as it stands there.
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

  # It reads them too: a batch that is committed already is verified, not written again.
  statement {
    sid     = "ReadAndWriteOutputs"
    actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = [
      "${local.arn.processed}/rejected/*",
      "${local.arn.processed}/processed/*",
      "${local.arn.processed}/tables/*",
    ]
  }

  # In one request: a manifest is there or not.
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

  # It reads them too: whoever comes second tells what the first recorded.
  statement {
    sid       = "ReadAndWriteFailures"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn.processed}/failures/*"]
  }

  # For executions that died outside their failure branch: whether a notice went out, and the notice if none did.
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

# What an execution did stands in its history, what it stored in a listing, what it published in the manifest.
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

# It writes no object: what it finds, others do.
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

  # Any version of these functions, not only the newest: an execution that began before a deploy goes on with the
  # versions that it began with.
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
    resources = ["*"] # the delivery of logs takes no resource
  }

  statement {
    sid = "Tracing"
    actions = [
      "xray:PutTraceSegments",
      "xray:PutTelemetryRecords",
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
    ]
    resources = ["*"] # X-Ray takes no resource here
  }
}
