# Log groups stand before what writes to them, so that none is ever made without retention or left behind. No role
# may make one.

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${each.value.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# Under /aws/vendedlogs/ one resource policy of the account serves all state machines; elsewhere each adds to it,
# until its 5,120 characters are full.
resource "aws_cloudwatch_log_group" "state_machine" {
  name              = "/aws/vendedlogs/states/${local.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}
