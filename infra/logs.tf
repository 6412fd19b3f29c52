# Log groups stand before what writes to them, so that none is ever made without retention or left behind. No role
# may make one.

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_338:log_retention_days says how long; what must be kept for longer are manifests and failure records.
  for_each = local.functions

  name              = local.log_group[each.key]
  retention_in_days = var.log_retention_days
  kms_key_id        = local.key_arn
  tags              = local.tags
}

resource "aws_cloudwatch_log_group" "state_machine" {
  #checkov:skip=CKV_AWS_338:As above.
  name              = local.log_group.state_machine
  retention_in_days = var.log_retention_days
  kms_key_id        = local.key_arn
  tags              = local.tags
}
