data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# Names and tags. Names are predictable, so the CLI, log queries and people can derive them.
locals {
  name       = "${var.project}-${var.environment}"
  partition  = data.aws_partition.current.partition
  dns_suffix = data.aws_partition.current.dns_suffix
  account_id = data.aws_caller_identity.current.account_id

  tags = merge(var.tags, {
    Project     = var.project
    Environment = var.environment
    Deployment  = local.name # distinguishes environments in a bill, because a budget can't combine two tags
    ManagedBy   = "terraform"
  })

  # The account id makes bucket names globally unique.
  buckets = {
    ingest    = "${local.name}-ingest-${local.account_id}"
    processed = "${local.name}-processed-${local.account_id}"
  }
}

# ARNs, constructed from the names. With these, the first plan already shows every policy in full, and the starter's
# environment can contain the state machine's ARN, although the state machine depends on the other functions.
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
    # Log groups under /aws/vendedlogs/ share one resource policy of the account. Others would each add a statement to
    # it, up to its limit of 5,120 characters.
    { state_machine = "/aws/vendedlogs/states/${local.name}" }
  )
}
