# Log groups are created before the resources that write to them. No role may create log groups, so none
# exists without retention or after `terraform destroy`.

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_338:log_retention_days decides; manifests and failure records are kept longer.
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
