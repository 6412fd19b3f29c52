# Tests the resources on a mocked AWS. Policies are rendered only in policies.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "nothing_set" {
  # --- names ---

  assert {
    condition = {
      buckets       = { for key, bucket in aws_s3_bucket.this : key => bucket.bucket }
      functions     = { for key, function in aws_lambda_function.this : key => function.function_name }
      roles         = { for key, role in aws_iam_role.function : key => role.name }
      state_machine = aws_sfn_state_machine.pipeline.name
      topics        = [aws_sns_topic.notices.name, aws_sns_topic.alarms.name]
      queue         = aws_sqs_queue.on_failure.name
      rules         = [aws_cloudwatch_event_rule.execution_failed.name, aws_cloudwatch_event_rule.execution_ended.name]
      schedule      = [aws_scheduler_schedule.reconcile[0].group_name, aws_scheduler_schedule.reconcile[0].name]
      scheduler     = aws_iam_role.scheduler[0].name
      } == {
      buckets = {
        ingest    = "order-pipeline-dev-ingest-123456789012"
        processed = "order-pipeline-dev-processed-123456789012"
      }
      functions = {
        starter        = "order-pipeline-dev-starter"
        validate       = "order-pipeline-dev-validate"
        transform      = "order-pipeline-dev-transform"
        write          = "order-pipeline-dev-write"
        record_failure = "order-pipeline-dev-record-failure"
        record_run     = "order-pipeline-dev-record-run"
        reconciler     = "order-pipeline-dev-reconciler"
      }
      roles = {
        starter        = "order-pipeline-dev-starter"
        validate       = "order-pipeline-dev-validate"
        transform      = "order-pipeline-dev-transform"
        write          = "order-pipeline-dev-write"
        record_failure = "order-pipeline-dev-record-failure"
        record_run     = "order-pipeline-dev-record-run"
        reconciler     = "order-pipeline-dev-reconciler"
      }
      state_machine = "order-pipeline-dev"
      topics        = ["order-pipeline-dev-notices", "order-pipeline-dev-alarms"]
      queue         = "order-pipeline-dev-on-failure"
      rules         = ["order-pipeline-dev-execution-failed", "order-pipeline-dev-execution-ended"]
      schedule      = ["order-pipeline-dev", "order-pipeline-dev-reconcile"]
      scheduler     = "order-pipeline-dev-scheduler"
    }
    error_message = "People, log queries and the CLI rely on the names."
  }

  # The ARNs in locals are constructed from names, which must match the resources.
  assert {
    condition = (
      endswith(local.arn.state_machine, ":stateMachine:${aws_sfn_state_machine.pipeline.name}")
      && endswith(local.arn.executions, ":execution:${aws_sfn_state_machine.pipeline.name}:*")
      && endswith(local.arn.topic, ":${aws_sns_topic.notices.name}")
      && endswith(local.arn.alarms_topic, ":${aws_sns_topic.alarms.name}")
      && endswith(local.arn.schedules, ":schedule-group/${aws_scheduler_schedule_group.this[0].name}")
      && endswith(local.arn.record_failure_live, ":function:${aws_lambda_alias.live["record_failure"].function_name}:${aws_lambda_alias.live["record_failure"].name}")
      && endswith(local.arn.reconciler_live, ":function:${aws_lambda_alias.live["reconciler"].function_name}:${aws_lambda_alias.live["reconciler"].name}")
      && endswith(local.arn.on_failure, ":${aws_sqs_queue.on_failure.name}")
      && endswith(local.arn.failed_rule, ":rule/${aws_cloudwatch_event_rule.execution_failed.name}")
      && endswith(local.arn.ended_rule, ":rule/${aws_cloudwatch_event_rule.execution_ended.name}")
      && endswith(local.arn.ingest, ":::${aws_s3_bucket.this["ingest"].bucket}")
      && endswith(local.arn.processed, ":::${aws_s3_bucket.this["processed"].bucket}")
      && alltrue([for key, function in aws_lambda_function.this : endswith(local.function_arn[key], ":function:${function.function_name}")])
    )
    error_message = "An ARN in locals.tf names a resource that doesn't exist."
  }

  # --- functions ---

  assert {
    condition = alltrue([
      for key, function in aws_lambda_function.this :
      function.publish
      && function.runtime == "python3.13"
      && function.architectures == tolist(["arm64"])
      && function.handler == "functions.${key}.index.handler"
      && function.tracing_config[0].mode == "Active"
      && function.logging_config[0].log_format == "Text"
    ])
    error_message = "Every function must run published versions of its own handler on python3.13 and arm64, with tracing."
  }

  assert {
    condition = { for key, function in aws_lambda_function.this : key => [function.memory_size, function.timeout, function.ephemeral_storage[0].size] } == {
      starter        = [256, 60, 512]
      validate       = [1769, 900, 10240]
      transform      = [1769, 900, 10240]
      write          = [1769, 900, 10240]
      record_failure = [256, 60, 512]
      record_run     = [256, 60, 512]
      reconciler     = [512, 900, 512]
    }
    error_message = "Memory, timeout and /tmp must have the defaults of the variables."
  }

  assert {
    condition = {
      for key, function in aws_lambda_function.this : key => join(" ", [for arn in function.layers : split(":", arn)[6]])
      } == {
      starter        = "aws json"
      validate       = "aws json schema sql"
      transform      = "aws sql"
      write          = "aws json sql"
      record_failure = "aws json"
      record_run     = "aws json"
      reconciler     = "aws json"
    }
    error_message = "A function must load only the layers that it uses."
  }

  assert {
    condition = {
      for key, function in aws_lambda_function.this : key => {
        for name, value in function.environment[0].variables : name => value if !startswith(name, "POWERTOOLS_") && name != "RELEASE"
      }
      } == {
      starter = {
        STATE_MACHINE_ARN = "arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev"
        CHUNK_BYTES       = "67108864"
      }
      validate = {
        PROCESSED_BUCKET    = "order-pipeline-dev-processed-123456789012"
        MAX_OBJECT_BYTES    = "5368709120"
        MAX_INFLATED_BYTES  = "4294967296"
        MAX_INFLATION_RATIO = "200"
        MAX_RECORD_BYTES    = "8388608"
        MAX_NESTING         = "64"
        MAX_REJECT_BYTES    = "268435456"
        UNKNOWN_FIELDS      = "reject"
      }
      transform = {
        PROCESSED_BUCKET = "order-pipeline-dev-processed-123456789012"
      }
      write = {
        PROCESSED_BUCKET    = "order-pipeline-dev-processed-123456789012"
        MAX_OBJECT_BYTES    = "5368709120"
        MAX_INFLATED_BYTES  = "4294967296"
        MAX_INFLATION_RATIO = "200"
        MAX_RECORD_BYTES    = "8388608"
        MAX_REJECT_RATIO    = "0.1"
      }
      record_failure = {
        PROCESSED_BUCKET = "order-pipeline-dev-processed-123456789012"
        TOPIC_ARN        = "arn:aws:sns:eu-central-1:123456789012:order-pipeline-dev-notices"
      }
      record_run = {
        PROCESSED_BUCKET = "order-pipeline-dev-processed-123456789012"
        DEPLOYMENT = jsonencode({
          region       = "eu-central-1"
          architecture = "arm64"
          staging_days = 7
          functions    = { for key, function in aws_lambda_function.this : key => [function.memory_size, function.ephemeral_storage[0].size] }
        })
      }
      reconciler = {
        INGEST_BUCKET      = "order-pipeline-dev-ingest-123456789012"
        PROCESSED_BUCKET   = "order-pipeline-dev-processed-123456789012"
        STATE_MACHINE_ARN  = "arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev"
        CHUNK_BYTES        = "67108864"
        RECORD_FAILURE_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:order-pipeline-dev-record-failure:live"
      }
    }
    error_message = "A function must have the settings that functions/common/config.py reads for it."
  }

  assert {
    condition = {
      for key, function in aws_lambda_function.this : key => function.environment[0].variables.RELEASE
      if contains(keys(function.environment[0].variables), "RELEASE")
    } == { write = output.release }
    error_message = "Only the function that writes manifests must have the setting RELEASE."
  }

  assert {
    condition = alltrue([
      for key, function in aws_lambda_function.this : function.environment[0].variables.POWERTOOLS_SERVICE_NAME == key
      && function.environment[0].variables.POWERTOOLS_METRICS_NAMESPACE == "order-pipeline-dev"
      && function.environment[0].variables.POWERTOOLS_LOG_LEVEL == "INFO"
    ])
    error_message = "Logs and metrics must name the function and the deployment."
  }

  # --- the state machine ---

  assert {
    condition = alltrue([
      for function in ["validate", "transform", "write", "record_failure"] :
      strcontains(aws_sfn_state_machine.pipeline.definition, "\"arn:aws:lambda:eu-central-1:123456789012:function:${aws_lambda_function.this[function].function_name}:7\"")
    ])
    error_message = "The definition must invoke published versions, so a deployment never mixes code within a run."
  }

  assert {
    condition     = !strcontains(aws_sfn_state_machine.pipeline.definition, "$${") && can(jsondecode(aws_sfn_state_machine.pipeline.definition))
    error_message = "The definition must be JSON without placeholders."
  }

  assert {
    condition = (
      aws_sfn_state_machine.pipeline.type == "STANDARD"
      && aws_sfn_state_machine.pipeline.tracing_configuration[0].enabled
      && aws_sfn_state_machine.pipeline.logging_configuration[0].level == "ALL"
      && aws_sfn_state_machine.pipeline.logging_configuration[0].include_execution_data
      && endswith(aws_sfn_state_machine.pipeline.logging_configuration[0].log_destination, ":*")
    )
    error_message = "Executions must be STANDARD, logged with their data, and traced."
  }

  # If the definition were parsed incorrectly, the precondition on its timeouts would check nothing.
  assert {
    condition     = toset(keys(local.task_seconds)) == toset(["validate", "transform", "write", "record_failure"])
    error_message = "A task of the definition is missing or invokes the wrong function."
  }

  # --- a file invokes the starter ---

  assert {
    condition = (
      length(aws_s3_bucket_notification.ingest.lambda_function) == 1
      && aws_s3_bucket_notification.ingest.lambda_function[0].lambda_function_arn == aws_lambda_alias.live["starter"].arn
      && aws_s3_bucket_notification.ingest.lambda_function[0].filter_prefix == "incoming/"
      && aws_s3_bucket_notification.ingest.lambda_function[0].events == toset(["s3:ObjectCreated:*"])
    )
    error_message = "Only object creation under incoming/ must invoke the starter."
  }

  assert {
    condition = (
      aws_lambda_permission.ingest.principal == "s3.amazonaws.com"
      && aws_lambda_permission.ingest.function_name == "order-pipeline-dev-starter"
      && aws_lambda_permission.ingest.qualifier == "live"
      && aws_lambda_permission.ingest.source_arn == "arn:aws:s3:::${aws_s3_bucket.this["ingest"].bucket}"
      && aws_lambda_permission.ingest.source_account == "123456789012"
    )
    error_message = "Only this account's ingest bucket may invoke the starter, through the notification's alias."
  }

  assert {
    condition = toset(keys(aws_lambda_alias.live)) == toset(["starter", "record_failure", "record_run", "reconciler"]) && alltrue([
      for key, alias in aws_lambda_alias.live :
      alias.function_version == aws_lambda_function.this[key].version
      && aws_lambda_function_event_invoke_config.live[key].qualifier == alias.name
      && aws_lambda_function_event_invoke_config.live[key].maximum_retry_attempts == 2
      && aws_lambda_function_event_invoke_config.live[key].destination_config[0].on_failure[0].destination == aws_sqs_queue.on_failure.arn
    ])
    error_message = "Events must invoke a published version, with retries and the failed-event queue."
  }

  # --- a failed execution invokes record_failure ---

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.execution_failed.event_pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        status          = ["FAILED", "TIMED_OUT", "ABORTED"]
        stateMachineArn = ["arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev"]
      }
    }
    error_message = "The rule must match only this state machine's executions that failed, timed out or were aborted."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.record_failure.arn == aws_lambda_alias.live["record_failure"].arn
      && aws_cloudwatch_event_target.record_failure.dead_letter_config[0].arn == aws_sqs_queue.on_failure.arn
      && aws_lambda_permission.execution_failed.function_name == "order-pipeline-dev-record-failure"
      && aws_lambda_permission.execution_failed.qualifier == "live"
      && endswith(aws_lambda_permission.execution_failed.source_arn, ":rule/${aws_cloudwatch_event_rule.execution_failed.name}")
    )
    error_message = "Only the rule must invoke record_failure, and failed events must go to the queue."
  }

  # --- the end of an execution invokes record_run ---

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.execution_ended.event_pattern) == {
      source      = ["aws.states"]
      detail-type = ["Step Functions Execution Status Change"]
      detail = {
        status          = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
        stateMachineArn = ["arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev"]
      }
    }
    error_message = "The rule must match every end of an execution, but only of this state machine."
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.record_run.arn == aws_lambda_alias.live["record_run"].arn
      && aws_cloudwatch_event_target.record_run.dead_letter_config[0].arn == aws_sqs_queue.on_failure.arn
      && aws_lambda_permission.execution_ended.function_name == "order-pipeline-dev-record-run"
      && aws_lambda_permission.execution_ended.qualifier == "live"
      && endswith(aws_lambda_permission.execution_ended.source_arn, ":rule/${aws_cloudwatch_event_rule.execution_ended.name}")
    )
    error_message = "Only the rule must invoke record_run, and failed events must go to the queue."
  }

  # --- buckets ---

  assert {
    condition = alltrue([
      for key, bucket in aws_s3_bucket.this :
      aws_s3_bucket_versioning.this[key].versioning_configuration[0].status == "Enabled"
      && tolist(aws_s3_bucket_server_side_encryption_configuration.this[key].rule)[0].apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
      && aws_s3_bucket_ownership_controls.this[key].rule[0].object_ownership == "BucketOwnerEnforced"
      && aws_s3_bucket_public_access_block.this[key].block_public_acls
      && aws_s3_bucket_public_access_block.this[key].block_public_policy
      && aws_s3_bucket_public_access_block.this[key].ignore_public_acls
      && aws_s3_bucket_public_access_block.this[key].restrict_public_buckets
      && bucket.force_destroy
    ])
    error_message = "Both buckets must be versioned, encrypted and private, and in dev, destroying must delete their content."
  }

  assert {
    condition = {
      for key, lifecycle in aws_s3_bucket_lifecycle_configuration.this : key => {
        for rule in lifecycle.rule : rule.filter[0].prefix => rule.expiration[0].days if startswith(rule.id, "expire-")
      }
      } == {
      ingest    = {}
      processed = { "staging/" = 7, "rejected/" = 90, "runs/" = 400, "queries/" = 7 }
    }
    error_message = "The lifecycle rules don't match the defaults of retention_days."
  }

  assert {
    condition = alltrue([
      for lifecycle in aws_s3_bucket_lifecycle_configuration.this :
      lifecycle.rule[0].status == "Enabled"
      && lifecycle.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
      && lifecycle.rule[0].noncurrent_version_expiration[0].noncurrent_days == 30
      && lifecycle.rule[0].expiration[0].expired_object_delete_marker
    ])
    error_message = "Both buckets must delete unfinished uploads, replaced versions and empty delete markers."
  }

  # --- logs, topics and queue ---

  assert {
    condition = merge(
      { for key, group in aws_cloudwatch_log_group.function : group.name => group.retention_in_days },
      { (aws_cloudwatch_log_group.state_machine.name) = aws_cloudwatch_log_group.state_machine.retention_in_days }
      ) == {
      "/aws/lambda/order-pipeline-dev-starter"        = 30
      "/aws/lambda/order-pipeline-dev-validate"       = 30
      "/aws/lambda/order-pipeline-dev-transform"      = 30
      "/aws/lambda/order-pipeline-dev-write"          = 30
      "/aws/lambda/order-pipeline-dev-record-failure" = 30
      "/aws/lambda/order-pipeline-dev-record-run"     = 30
      "/aws/lambda/order-pipeline-dev-reconciler"     = 30
      "/aws/vendedlogs/states/order-pipeline-dev"     = 30
    }
    error_message = "Every log group must be in the plan, with retention."
  }

  assert {
    condition     = alltrue([for key, function in aws_lambda_function.this : function.logging_config[0].log_group == aws_cloudwatch_log_group.function[key].name])
    error_message = "A function must log to its own group."
  }

  assert {
    condition     = aws_sns_topic.notices.kms_master_key_id == "alias/aws/sns" && length(aws_sns_topic_subscription.email) == 0
    error_message = "The topic must be encrypted, and have no subscription without an address."
  }

  assert {
    condition     = aws_sqs_queue.on_failure.sqs_managed_sse_enabled && aws_sqs_queue.on_failure.message_retention_seconds == 1209600
    error_message = "The queue must be encrypted and keep events for 14 days."
  }

  # --- outputs that the CLI reads ---

  assert {
    condition = (
      output.name == "order-pipeline-dev"
      && output.region == "eu-central-1"
      && output.ingest_bucket == "order-pipeline-dev-ingest-123456789012"
      && output.processed_bucket == "order-pipeline-dev-processed-123456789012"
      && output.state_machine_arn == aws_sfn_state_machine.pipeline.arn
      && output.topic_arn == aws_sns_topic.notices.arn
      && output.alarms_topic_arn == aws_sns_topic.alarms.arn
      && output.chunk_bytes == 67108864
      && output.kms_key_arn == null
      && output.on_failure_queue_url == aws_sqs_queue.on_failure.url
      && toset(keys(output.function_names)) == toset(["starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler"])
      && toset(keys(output.log_group_names)) == toset(["starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler", "state_machine"])
      && output.dashboard_url == "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#dashboards/dashboard/order-pipeline-dev"
      && output.state_machine_console_url == "https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#/statemachines/view/arn:aws:states:eu-central-1:123456789012:stateMachine:order-pipeline-dev"
    )
    error_message = "src/pipeline reads these outputs."
  }
}

# --- With other settings ---

run "everything_set" {
  variables {
    project              = "shop"
    environment          = "test"
    region               = "us-east-2"
    tags                 = { Owner = "data", Project = "another" }
    notification_email   = "somebody@example.org"
    lambda_runtime       = "provided.al2023"
    architecture         = "x86_64"
    log_level            = "DEBUG"
    log_retention_days   = 7
    memory_mb            = { validate = 3008 }
    timeout_seconds      = { write = 900 }
    ephemeral_storage_mb = { write = 2048 }
    chunk_bytes          = 100
    max_reject_ratio     = 0.25
    max_nesting          = 8
    max_reject_bytes     = 1048576
    reconcile            = { schedule = "cron(0 6 * * ? *)", since_hours = 168, grace_minutes = 30 }
    retention_days       = { incoming = 30, processed = 31, tables = 32, manifests = 33, rejected = 34, failures = 35, queries = 37, runs = 36, staging = 3, replaced = 2 }
    force_destroy        = true
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.this :
      function.runtime == "provided.al2023"
      && function.architectures == tolist(["x86_64"])
      && length(function.layers) == 0
      && function.environment[0].variables.POWERTOOLS_LOG_LEVEL == "DEBUG"
      && function.environment[0].variables["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    ]) && length(aws_lambda_layer_version.this) == 0
    error_message = "A custom runtime has no layers."
  }

  assert {
    condition = (
      aws_lambda_function.this["validate"].memory_size == 3008
      && aws_lambda_function.this["transform"].memory_size == 1769
      && aws_lambda_function.this["write"].timeout == 900
      && aws_lambda_function.this["write"].ephemeral_storage[0].size == 2048
      && aws_lambda_function.this["starter"].environment[0].variables.CHUNK_BYTES == "100"
      && aws_lambda_function.this["reconciler"].environment[0].variables.CHUNK_BYTES == "100"
      && output.chunk_bytes == 100
      && aws_lambda_function.this["validate"].environment[0].variables.MAX_NESTING == "8"
      && aws_lambda_function.this["validate"].environment[0].variables.MAX_REJECT_BYTES == "1048576"
      && aws_lambda_function.this["write"].environment[0].variables.MAX_REJECT_RATIO == "0.25"
    )
    error_message = "A setting of one function must reach that function, and not change the others."
  }

  assert {
    condition     = output.tags == { Owner = "data", Project = "shop", Environment = "test", Deployment = "shop-test", ManagedBy = "terraform" }
    error_message = "Custom tags must be added to the pipeline's own tags."
  }

  assert {
    condition = {
      for key, lifecycle in aws_s3_bucket_lifecycle_configuration.this : key => {
        for rule in lifecycle.rule : rule.filter[0].prefix => rule.expiration[0].days if startswith(rule.id, "expire-")
      }
      } == {
      ingest = { "incoming/" = 30 }
      processed = {
        "staging/" = 3, "rejected/" = 34, "processed/" = 31, "tables/" = 32, "manifests/" = 33, "failures/" = 35,
        "runs/"    = 36, "queries/" = 37
      }
    }
    error_message = "Each prefix must be kept for its retention_days."
  }

  assert {
    condition = {
      for rule in flatten([for lifecycle in aws_s3_bucket_lifecycle_configuration.this : lifecycle.rule]) :
      rule.id => rule.noncurrent_version_expiration[0].noncurrent_days... if length(rule.noncurrent_version_expiration) > 0
    } == { clean-up = [2, 2], expire-staging = [1], expire-queries = [1] }
    error_message = "Replaced versions must be kept for retention_days.replaced, and for a day in staging and queries."
  }

  assert {
    condition = (
      { for key, subscription in aws_sns_topic_subscription.email : key => "${subscription.protocol} ${subscription.endpoint} ${subscription.topic_arn}" } == {
        notices = "email somebody@example.org ${aws_sns_topic.notices.arn}"
        alarms  = "email somebody@example.org ${aws_sns_topic.alarms.arn}"
      }
      && aws_scheduler_schedule.reconcile[0].schedule_expression == "cron(0 6 * * ? *)"
      && jsondecode(aws_scheduler_schedule.reconcile[0].target[0].input) == { since_hours = 168, grace_minutes = 30 }
      && alltrue([for bucket in aws_s3_bucket.this : bucket.force_destroy])
      && alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 7])
      && aws_s3_bucket.this["ingest"].bucket == "shop-test-ingest-123456789012"
      && startswith(output.state_machine_console_url, "https://us-east-2.console.aws.amazon.com/")
    )
    error_message = "A variable has no effect on its resource."
  }
}

run "production_keeps_its_buckets" {
  variables {
    environment = "prod"
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "In prod, a bucket that is not empty must not be deleted."
  }
}

run "without_lifecycle_rules" {
  variables {
    lifecycle_rules = false
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this) == 0
    error_message = "There must be no lifecycle rules."
  }
}

run "rejects_need_room_in_tmp_too" {
  command = plan

  variables {
    max_reject_bytes = 715827883 # one byte more than a third of the remaining 2 GiB
  }

  expect_failures = [aws_lambda_function.this]
}

run "all_of_tmp_may_be_used" {
  command = plan

  variables {
    max_reject_bytes = 715827882
  }
}

run "missing_function_zips_are_named" {
  command = plan

  variables {
    packages_dir   = "no-such-folder"
    lambda_runtime = "provided.al2023"
  }

  expect_failures = [aws_lambda_function.this]
}

run "missing_layer_zips_are_named" {
  command = plan

  variables {
    packages_dir = "no-such-folder"
  }

  expect_failures = [aws_lambda_layer_version.this]
}

run "replaced_versions_kept_for_ever" {
  variables {
    retention_days = { replaced = 0 }
  }

  assert {
    condition = flatten([
      for lifecycle in aws_s3_bucket_lifecycle_configuration.this : [
        for rule in lifecycle.rule : rule.id if length(rule.noncurrent_version_expiration) > 0
      ]
    ]) == ["expire-queries", "expire-staging"]
    error_message = "With replaced = 0, replaced versions must be kept forever, except in staging and queries."
  }
}

# --- Where a deploy role deploys ---

run "every_role_is_bound" {
  variables {
    permissions_boundary = "bounds"
  }

  assert {
    condition = toset(concat(
      [for role in aws_iam_role.function : role.permissions_boundary],
      [aws_iam_role.state_machine.permissions_boundary, aws_iam_role.scheduler[0].permissions_boundary],
    )) == toset(["arn:aws:iam::123456789012:policy/bounds"])
    error_message = "Every role must have the boundary, or the deploy role can't create it."
  }
}
