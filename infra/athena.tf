# The Athena workgroup, which limits how much a query may scan and defines where results are stored, and saved queries.

resource "aws_athena_workgroup" "this" {
  name          = local.name
  description   = "Queries over the tables of ${local.name}. A query may scan at most ${floor(var.max_query_bytes / 1048576)} MiB."
  force_destroy = true # deletes only the history of queries
  tags          = local.tags

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.max_query_bytes

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location       = "s3://${local.buckets.processed}/queries/" # these expire: retention.tf
      expected_bucket_owner = local.account_id

      encryption_configuration {
        encryption_option = var.customer_managed_key ? "SSE_KMS" : "SSE_S3"
        kms_key_arn       = local.key_arn
      }
    }
  }

  depends_on = [aws_s3_bucket.this]
}

# The first line of a query describes it. The queries of a dataset are next to its contract; those in queries/ are
# created for every dataset.
locals {
  query_files = merge(
    {
      for path in fileset(local.contracts_dir, "*/queries/*.sql") :
      "${dirname(dirname(path))}.${trimsuffix(basename(path), ".sql")}" => "${local.contracts_dir}/${path}"
    },
    merge([
      for dataset in keys(local.contracts) : {
        for name in fileset("${path.module}/queries", "*.sql") :
        "${dataset}.${trimsuffix(name, ".sql")}" => "${path.module}/queries/${name}"
      }
    ]...)
  )

  queries = {
    for key, path in local.query_files : key => {
      dataset = split(".", key)[0]
      name    = split(".", key)[1]
      sql     = file(path)
      about   = trimprefix(split("\n", file(path))[0], "-- ")
    }
  }
}

resource "aws_athena_named_query" "this" {
  for_each = local.queries

  name        = "${each.value.dataset}: ${replace(each.value.name, "_", " ")}"
  description = substr(each.value.about, 0, 1024)
  workgroup   = aws_athena_workgroup.this.name
  database    = aws_glue_catalog_database.this[each.value.dataset].name
  query       = each.value.sql
}

# The permissions of analysts, to attach to a role or a permission set (the output analyst_policy). No resource here
# uses the policy, because the roles of people belong to the account.
data "aws_iam_policy_document" "analyst" {
  source_policy_documents = local.key_use["analyst"]

  statement {
    sid = "QueryInWorkgroup"
    actions = [
      "athena:BatchGetNamedQuery",
      "athena:BatchGetQueryExecution",
      "athena:GetNamedQuery",
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetQueryResultsStream",
      "athena:GetQueryRuntimeStatistics",
      "athena:GetWorkGroup",
      "athena:ListNamedQueries",
      "athena:ListQueryExecutions",
      "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = ["arn:${local.partition}:athena:${local.regional}:workgroup/${local.name}"]
  }

  # The console and drivers list workgroups and catalogs before they run a query.
  # https://docs.aws.amazon.com/athena/latest/ug/example-policies-workgroup.html
  statement {
    sid       = "ListInConsole"
    actions   = ["athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:ListWorkGroups"]
    resources = ["*"] # list actions, which don't support resources
  }

  statement {
    sid = "BrowseInConsole"
    actions = [
      "athena:GetDataCatalog",
      "athena:GetDatabase",
      "athena:GetTableMetadata",
      "athena:ListDatabases",
      "athena:ListTableMetadata",
    ]
    resources = ["arn:${local.partition}:athena:${local.regional}:datacatalog/AwsDataCatalog"]
  }

  # Athena checks this database too, for every query:
  # https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
  statement {
    sid     = "SeeDefaultDatabase"
    actions = ["glue:GetDatabase"]
    resources = [
      "arn:${local.partition}:glue:${local.regional}:catalog",
      "arn:${local.partition}:glue:${local.regional}:database/default",
    ]
  }

  statement {
    sid     = "FindTables"
    actions = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
    resources = concat(
      ["arn:${local.partition}:glue:${local.regional}:catalog"],
      [for database in values(local.databases) : "arn:${local.partition}:glue:${local.regional}:database/${database}"],
      [for database in values(local.databases) : "arn:${local.partition}:glue:${local.regional}:table/${database}/*"],
    )
  }

  statement {
    sid       = "ListFiles"
    actions   = ["s3:ListBucket"]
    resources = [local.arn.processed]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for folder in local.queried : "${folder}/*"]
    }
  }

  statement {
    sid       = "FindBucket"
    actions   = ["s3:GetBucketLocation"]
    resources = [local.arn.processed]
  }

  statement {
    sid       = "ReadFiles"
    actions   = ["s3:GetObject"]
    resources = [for folder in local.queried : "${local.arn.processed}/${folder}/*"]
  }

  statement {
    sid       = "WriteResults"
    actions   = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
    resources = ["${local.arn.processed}/queries/*"]
  }
}

locals {
  queried = ["tables", "rejected", "manifests", "failures", "queries"]
}
