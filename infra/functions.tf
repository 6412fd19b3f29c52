# The functions, from zips that stand ready in packages_dir.

# The seven functions: what they are for, which layers they load, and the settings that functions/common/config.py reads.
locals {
  functions = {
    starter = {
      name        = "${local.name}-starter"
      description = "Starts one execution for each object version that arrives."
      layers      = ["aws", "json"]
      environment = {
        STATE_MACHINE_ARN = local.arn.state_machine
        CHUNK_BYTES       = var.chunk_bytes
      }
    }
    validate = {
      name        = "${local.name}-validate"
      description = "Checks each record of one chunk against the contract."
      layers      = ["aws", "json", "schema", "sql"]
      environment = merge(local.reading, {
        PROCESSED_BUCKET = local.buckets.processed
        MAX_NESTING      = var.max_nesting
        MAX_REJECT_BYTES = var.max_reject_bytes
        UNKNOWN_FIELDS   = var.unknown_fields
      })
    }
    transform = {
      name        = "${local.name}-transform"
      description = "Turns the valid records of one chunk into typed rows of each table."
      layers      = ["aws", "sql"]
      environment = {
        PROCESSED_BUCKET = local.buckets.processed
      }
    }
    write = {
      name        = "${local.name}-write"
      description = "Merges the chunks, proves the balance, publishes the tables and commits."
      layers      = ["aws", "json", "sql"]
      environment = merge(local.reading, {
        PROCESSED_BUCKET = local.buckets.processed
        MAX_REJECT_RATIO = var.max_reject_ratio
      })
    }
    record_failure = {
      name        = "${local.name}-record-failure"
      description = "Writes the failure record of an execution and words its notice."
      layers      = ["aws", "json"]
      environment = {
        PROCESSED_BUCKET = local.buckets.processed
        TOPIC_ARN        = local.arn.topic
      }
    }
    record_run = {
      name        = "${local.name}-record-run"
      description = "Writes down what an execution has cost, once it has ended."
      layers      = ["aws", "json"]
      environment = {
        PROCESSED_BUCKET = local.buckets.processed
        DEPLOYMENT = jsonencode({
          region       = var.region
          architecture = var.architecture
          staging_days = var.retention_days.staging
          functions    = { for key, mb in var.memory_mb : key => [mb, var.ephemeral_storage_mb[key]] }
        })
      }
    }
    reconciler = {
      name        = "${local.name}-reconciler"
      description = "Gives an outcome to each object version that has none."
      layers      = ["aws", "json"]
      environment = {
        INGEST_BUCKET      = local.buckets.ingest
        PROCESSED_BUCKET   = local.buckets.processed
        STATE_MACHINE_ARN  = local.arn.state_machine
        CHUNK_BYTES        = var.chunk_bytes
        RECORD_FAILURE_ARN = local.arn.record_failure_live
      }
    }
  }

  # Of those that read the source: `validate` reads all of it, `write` once more the chunks that have superseded records.
  reading = {
    MAX_OBJECT_BYTES    = var.max_object_bytes
    MAX_INFLATED_BYTES  = var.max_inflated_bytes
    MAX_INFLATION_RATIO = var.max_inflation_ratio
    MAX_RECORD_BYTES    = var.max_record_bytes
  }

  # Those that events invoke: S3's, EventBridge's, the scheduler's and the reconciler's own.
  live = toset(["starter", "record_failure", "record_run", "reconciler"])
}

locals {
  # A custom runtime's zip holds everything: Lambda's own Python is what layers are for.
  layers = var.lambda_runtime == "python3.13" ? toset(flatten([for function in local.functions : function.layers])) : toset([])

  # Null where a zip is missing, for destroying needs none; the preconditions below say it in words.
  packages     = concat(keys(local.functions), [for layer in local.layers : "layer-${layer}"])
  package_file = { for package in local.packages : package => "${var.packages_dir}/${package}.zip" }
  package_hash = { for package, file in local.package_file : package => fileexists(file) ? filebase64sha256(file) : null }

  # What makes the tables: the code, the packages and the contracts, but no setting. A manifest names it, so that what a
  # bad release published can be published anew.
  release = substr(sha256(jsonencode({
    for package, hash in local.package_hash : package => hash
    if contains(["validate", "transform", "write"], package) || startswith(package, "layer-")
  })), 0, 12)
}

resource "aws_lambda_layer_version" "this" {
  for_each = local.layers

  layer_name               = "${local.name}-${each.key}"
  description              = "Third-party packages of the functions: ${each.key}."
  filename                 = local.package_file["layer-${each.key}"]
  source_code_hash         = local.package_hash["layer-${each.key}"]
  compatible_runtimes      = [var.lambda_runtime]
  compatible_architectures = [var.architecture]

  lifecycle {
    precondition {
      condition     = local.package_hash["layer-${each.key}"] != null
      error_message = "There is no ${local.package_file["layer-${each.key}"]}. Run `make build` first."
    }
  }
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115:A new account has 10 concurrent executions in all, and can reserve none of them.
  #checkov:skip=CKV_AWS_116:What events invoke has an on-failure destination, which tells more than a dead-letter queue; the rest is retried and caught by the state machine.
  #checkov:skip=CKV_AWS_117:Nothing here listens, and all that is called is reached by IAM over TLS; see docs/decisions.md.
  #checkov:skip=CKV_AWS_272:Zips are built from hashed packages and named by their hash in the plan; signing guards against others who may deploy to the account.
  for_each = local.functions

  function_name    = each.value.name
  description      = each.value.description
  role             = aws_iam_role.function[each.key].arn
  runtime          = var.lambda_runtime
  architectures    = [var.architecture]
  handler          = "functions.${each.key}.index.handler"
  filename         = local.package_file[each.key]
  source_code_hash = local.package_hash[each.key]
  layers           = [for layer in each.value.layers : aws_lambda_layer_version.this[layer].arn if contains(local.layers, layer)]
  memory_size      = var.memory_mb[each.key]
  timeout          = var.timeout_seconds[each.key]
  kms_key_arn      = local.key_arn

  # Every change makes a new version, and only versions are invoked: a deploy never mixes code within a run.
  publish = true

  ephemeral_storage {
    size = var.ephemeral_storage_mb[each.key]
  }

  environment {
    variables = merge(each.value.environment, each.key == "write" ? { RELEASE = local.release } : {}, {
      POWERTOOLS_SERVICE_NAME      = each.key
      POWERTOOLS_METRICS_NAMESPACE = local.name
      POWERTOOLS_LOG_LEVEL         = var.log_level
    })
  }

  tracing_config {
    mode = "Active"
  }

  # Text, though the functions' own lines are JSON: with Lambda's JSON format its level would also drop the metrics,
  # which are log lines without one, or, at DEBUG, let botocore log what it sends.
  logging_config {
    log_group  = aws_cloudwatch_log_group.function[each.key].name
    log_format = "Text"
  }

  tags = local.tags

  depends_on = [aws_iam_role_policy.function, aws_kms_alias.this]

  lifecycle {
    precondition {
      condition     = local.package_hash[each.key] != null
      error_message = "There is no ${local.package_file[each.key]}. Run `make build` first."
    }

    precondition {
      condition     = each.key != "validate" || length(local.contracts) > 0
      error_message = "There is no contract in ${var.contracts_dir}, seen from infra/. Let contracts_dir name a folder that holds one for each feed, with its contract.json."
    }

    # What is valid is written to /tmp twice: as text and typed, and when that is uploaded, where versions are mixed, as
    # text in one file. Rejects stand there as the schema's, the rules', and both merged.
    precondition {
      condition     = each.key != "validate" || 2 * var.max_inflated_bytes + 3 * var.max_reject_bytes <= var.ephemeral_storage_mb.validate * 1048576
      error_message = "2 × max_inflated_bytes + 3 × max_reject_bytes must fit into ephemeral_storage_mb.validate: valid records may stand there twice, rejects three times."
    }
  }
}

locals {
  version_arn = { for key, function in aws_lambda_function.this : key => "${local.function_arn[key]}:${function.version}" }
}

# What events invoke, they invoke by an alias: the place of S3's and EventBridge's permission, and of the retries
# below, then outlives a deploy, and no event that waits in Lambda's queue loses them.
resource "aws_lambda_alias" "live" {
  for_each = local.live

  name             = "live"
  description      = "The published version that events invoke."
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version

  # A new starter may put more into an execution's input than the earlier release's functions know.
  depends_on = [aws_sfn_state_machine.pipeline]
}

resource "aws_lambda_function_event_invoke_config" "live" {
  for_each = aws_lambda_alias.live

  function_name                = each.value.function_name
  qualifier                    = each.value.name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.on_failure.arn
    }
  }
}
