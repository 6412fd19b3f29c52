# The most that any role of infra/ may ever do in its environment, whatever its own policy says. A deploy role can make
# roles and write their policies; that none of them can do more than this is what keeps it from making itself an
# administrator, or a reader of another environment.

data "aws_iam_policy_document" "boundary" {
  for_each = local.names

  #checkov:skip=CKV_AWS_111:A boundary grants nothing; what takes no resource stands alone below.
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

  # The deployment's key, which an alias marks.
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

  # The smoke test also makes a role that has analyst_policy (tests/e2e/smoke/terraform/analyst.tf).
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
    resources = ["*"] # neither takes one
  }
}

locals {
  analyst_statements = {
    ListInAthena = {
      actions   = ["athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:ListWorkGroups"]
      resources = ["*"] # lists, which take no resource
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
  description = "The most that a role of ${each.value} may ever do."
  policy      = data.aws_iam_policy_document.boundary[each.key].json
  tags        = local.tags
}
