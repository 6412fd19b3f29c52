# The functions, from the prebuilt zips in packages_dir.

# The purpose, the layers and the settings of each of the seven functions (functions/common/config.py).
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
      description = "Validates each record of one chunk against the contract."
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
      description = "Transforms the valid records of one chunk into typed rows of each table."
      layers      = ["aws", "sql"]
      environment = {
        PROCESSED_BUCKET = local.buckets.processed
      }
    }
    write = {
      name        = "${local.name}-write"
      description = "Merges the chunks, checks that the counts balance, publishes the tables and commits the manifest."
      layers      = ["aws", "json", "sql"]
      environment = merge(local.reading, {
        PROCESSED_BUCKET = local.buckets.processed
        MAX_REJECT_RATIO = var.max_reject_ratio
      })
    }
    record_failure = {
      name        = "${local.name}-record-failure"
      description = "Writes the failure record of an execution and returns its notification."
      layers      = ["aws", "json"]
      environment = {
        PROCESSED_BUCKET = local.buckets.processed
        TOPIC_ARN        = local.arn.topic
      }
    }
    record_run = {
      name        = "${local.name}-record-run"
      description = "Records the cost of an execution after its end."
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
      description = "Finds object versions without an outcome, and starts or reports them."
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

  # For functions that read the source. `validate` reads all of it, and `write` reads chunks with superseded records.
  reading = {
    MAX_OBJECT_BYTES    = var.max_object_bytes
    MAX_INFLATED_BYTES  = var.max_inflated_bytes
    MAX_INFLATION_RATIO = var.max_inflation_ratio
    MAX_RECORD_BYTES    = var.max_record_bytes
  }

  # Functions that are invoked by events: from S3, EventBridge, the scheduler or the reconciler.
  live = toset(["starter", "record_failure", "record_run", "reconciler"])
}

locals {
  # The zip of a custom runtime contains all packages. Only Lambda's Python runtimes use layers.
  layers = var.lambda_runtime == "python3.13" ? toset(flatten([for function in local.functions : function.layers])) : toset([])

  # Null if a zip is missing, because destroying needs no zips. The preconditions below report a missing zip.
  packages     = concat(keys(local.functions), [for layer in local.layers : "layer-${layer}"])
  package_file = { for package in local.packages : package => "${var.packages_dir}/${package}.zip" }
  package_hash = { for package, file in local.package_file : package => fileexists(file) ? filebase64sha256(file) : null }

  # A hash of the code, the packages and the contracts, which determine the tables, but not of settings. Manifests
  # record the hash, so batches that a bad release published can be found and published again.
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
  #checkov:skip=CKV_AWS_115:A new account has 10 concurrent executions in total and can't reserve any.
  #checkov:skip=CKV_AWS_116:Functions that events invoke have an on-failure destination, which records more than a dead-letter queue; the state machine retries and catches the others.
  #checkov:skip=CKV_AWS_117:The functions accept no connections, and call only AWS services, with IAM over TLS; see docs/adr/0041-no-network-to-configure.md.
  #checkov:skip=CKV_AWS_272:Zips are built from hashed packages, and the plan shows their hashes; signing would only guard against others who can deploy to the account.
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

  # Every change publishes a new version, and only versions are invoked, so a run never mixes code of two releases.
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

  # Text, although the functions write JSON. With Lambda's JSON format, the log level would also drop metrics, which are
  # log lines without a level. At DEBUG, botocore would also log its requests.
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
      error_message = "There is no contract in ${var.contracts_dir}, relative to infra/. Set contracts_dir to a folder with one subfolder per dataset that contains contract.json."
    }

    # /tmp holds valid records twice: as JSON and typed, and later, for mixed versions, as JSON in one file. It holds
    # rejects up to three times: those of the schema, those of the rules, and both merged.
    precondition {
      condition     = each.key != "validate" || 2 * var.max_inflated_bytes + 3 * var.max_reject_bytes <= var.ephemeral_storage_mb.validate * 1048576
      error_message = "2 × max_inflated_bytes + 3 × max_reject_bytes must fit into ephemeral_storage_mb.validate, because /tmp may contain valid records twice and rejects three times."
    }
  }
}

locals {
  version_arn = { for key, function in aws_lambda_function.this : key => "${local.function_arn[key]}:${function.version}" }
}

# Events invoke functions through an alias. The permissions of S3 and EventBridge and the retry settings below belong to
# the alias, so a deployment does not affect events that wait in Lambda's queue.
resource "aws_lambda_alias" "live" {
  for_each = local.live

  name             = "live"
  description      = "The published version that events invoke."
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version

  # A new starter may add members to the execution's input that functions of an earlier release don't support.
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
