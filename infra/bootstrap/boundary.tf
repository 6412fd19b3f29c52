# The permissions boundary of all roles of infra/, which limits what their own policies can allow. A deploy role can
# create roles and write their policies. The boundary prevents it from making itself an administrator, or from reading
# another environment.

data "aws_iam_policy_document" "boundary" {
  for_each = local.names

  #checkov:skip=CKV_AWS_111:A boundary grants nothing; actions that don't support resources are in separate statements below.
  #checkov:skip=CKV_AWS_356:As above.

  statement {
    sid = "Files"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:ListBucket",
      "s3:ListBucketVersions",
      "s3:PutObject",
    ]
    resources = [
      "arn:${local.partition}:s3:::${each.value}-*-${local.account_id}",
      "arn:${local.partition}:s3:::${each.value}-*-${local.account_id}/*",
    ]
  }

  statement {
    sid       = "Functions"
    actions   = ["lambda:InvokeFunction"]
    resources = ["arn:${local.partition}:lambda:*:${local.account_id}:function:${each.value}-*"]
  }

  statement {
    sid = "Executions"
    actions = [
      "states:DescribeExecution",
      "states:GetExecutionHistory",
      "states:ListExecutions",
      "states:StartExecution",
    ]
    resources = [
      "arn:${local.partition}:states:*:${local.account_id}:stateMachine:${each.value}",
      "arn:${local.partition}:states:*:${local.account_id}:execution:${each.value}:*",
    ]
  }

  statement {
    sid     = "Messages"
    actions = ["sns:Publish", "sqs:SendMessage"]
    resources = [
      "arn:${local.partition}:sns:*:${local.account_id}:${each.value}-*",
      "arn:${local.partition}:sqs:*:${local.account_id}:${each.value}-*",
    ]
  }

  statement {
    sid       = "OwnLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:*:${local.account_id}:log-group:/aws/lambda/${each.value}-*"]
  }

  # The deployment's key, identified by its alias.
  statement {
    sid       = "Keys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]
    resources = ["arn:${local.partition}:kms:*:${local.account_id}:key/*"]

    condition {
      test     = "ForAnyValue:StringLike"
      variable = "kms:ResourceAliases"
      values   = ["alias/${each.value}"]
    }
  }

  # The smoke test also creates a role with analyst_policy (tests/e2e/smoke/terraform/analyst.tf).
  dynamic "statement" {
    for_each = each.key == "smoke" ? local.analyst_statements : {}

    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }

  statement {
    sid = "DeliverLogsAndTraces"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ]
    resources = ["*"] # neither action supports resources
  }
}

locals {
  analyst_statements = {
    ListInAthena = {
      actions   = ["athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:ListWorkGroups"]
      resources = ["*"] # list actions, which don't support resources
    }
    QueryInAthena = {
      actions = [
        "athena:BatchGetNamedQuery",
        "athena:BatchGetQueryExecution",
        "athena:GetDataCatalog",
        "athena:GetDatabase",
        "athena:GetNamedQuery",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:GetQueryResultsStream",
        "athena:GetQueryRuntimeStatistics",
        "athena:GetTableMetadata",
        "athena:GetWorkGroup",
        "athena:ListDatabases",
        "athena:ListNamedQueries",
        "athena:ListQueryExecutions",
        "athena:ListTableMetadata",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
      ]
      resources = [
        "arn:${local.partition}:athena:*:${local.account_id}:datacatalog/AwsDataCatalog",
        "arn:${local.partition}:athena:*:${local.account_id}:workgroup/${local.names.smoke}",
      ]
    }
    FindTables = {
      actions = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
      resources = [
        "arn:${local.partition}:glue:*:${local.account_id}:catalog",
        "arn:${local.partition}:glue:*:${local.account_id}:database/default",
        "arn:${local.partition}:glue:*:${local.account_id}:database/${replace(local.names.smoke, "-", "_")}_*",
        "arn:${local.partition}:glue:*:${local.account_id}:table/${replace(local.names.smoke, "-", "_")}_*/*",
      ]
    }
    KeepResults = {
      actions = ["s3:GetBucketLocation", "s3:ListMultipartUploadParts"]
      resources = [
        "arn:${local.partition}:s3:::${local.names.smoke}-*-${local.account_id}",
        "arn:${local.partition}:s3:::${local.names.smoke}-*-${local.account_id}/*",
      ]
    }
  }
}

resource "aws_iam_policy" "boundary" {
  for_each = local.names

  name        = local.boundaries[each.key]
  description = "Permissions boundary of the roles of ${each.value}."
  policy      = data.aws_iam_policy_document.boundary[each.key].json
  tags        = local.tags
}
