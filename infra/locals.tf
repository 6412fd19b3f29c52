data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# Names and tags. Names are fixed, so that the CLI, a log query and a person can guess them.
locals {
  name       = "${var.project}-${var.environment}"
  partition  = data.aws_partition.current.partition
  dns_suffix = data.aws_partition.current.dns_suffix
  account_id = data.aws_caller_identity.current.account_id

  tags = merge(var.tags, {
    Project     = var.project
    Environment = var.environment
    Deployment  = local.name # by which a bill tells two environments apart: a budget takes no two tags together
    ManagedBy   = "terraform"
  })

  # The account makes them unique in the world.
  buckets = {
    ingest    = "${local.name}-ingest-${local.account_id}"
    processed = "${local.name}-processed-${local.account_id}"
  }
}

# ARNs, spelled out from the names. Policies use these, so that already the first plan shows every policy in full;
# and the starter can be told of the state machine, which in turn needs the versions of the other functions.
locals {
  regional = "${var.region}:${local.account_id}"

  arn = {
    ingest              = "arn:${local.partition}:s3:::${local.buckets.ingest}"
    processed           = "arn:${local.partition}:s3:::${local.buckets.processed}"
    state_machine       = "arn:${local.partition}:states:${local.regional}:stateMachine:${local.name}"
    executions          = "arn:${local.partition}:states:${local.regional}:execution:${local.name}:*"
    topic               = "arn:${local.partition}:sns:${local.regional}:${local.name}-notices"
    alarms_topic        = "arn:${local.partition}:sns:${local.regional}:${local.name}-alarms"
    alarms              = "arn:${local.partition}:cloudwatch:${local.regional}:alarm:${local.name}-*"
    record_failure_live = "arn:${local.partition}:lambda:${local.regional}:function:${local.name}-record-failure:live"
    reconciler_live     = "arn:${local.partition}:lambda:${local.regional}:function:${local.name}-reconciler:live"
    on_failure          = "arn:${local.partition}:sqs:${local.regional}:${local.name}-on-failure"
    failed_rule         = "arn:${local.partition}:events:${local.regional}:rule/${local.name}-execution-failed"
    ended_rule          = "arn:${local.partition}:events:${local.regional}:rule/${local.name}-execution-ended"
    schedules           = "arn:${local.partition}:scheduler:${local.regional}:schedule-group/${local.name}"
  }

  function_arn = {
    for key, function in local.functions :
    key => "arn:${local.partition}:lambda:${local.regional}:function:${function.name}"
  }

  log_group = merge(
    { for key, function in local.functions : key => "/aws/lambda/${function.name}" },
    # Under /aws/vendedlogs/ one resource policy of the account serves all state machines; elsewhere each adds to it,
    # until its 5,120 characters are full.
    { state_machine = "/aws/vendedlogs/states/${local.name}" }
  )
}
