# An optional monthly budget for this deployment. AWS Budgets works per account, not per region, and counts only tags
# that are activated as cost allocation tags (docs/reference/cost.md).

resource "aws_budgets_budget" "this" {
  count = var.budget == null ? 0 : 1

  name         = local.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.2f", var.budget.monthly_usd)
  limit_unit   = "USD"
  tags         = local.tags

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:Deployment$%s", local.name)]
  }

  dynamic "notification" {
    for_each = [
      { type = "ACTUAL", percent = 80 },
      { type = "ACTUAL", percent = 100 },
      { type = "FORECASTED", percent = 100 },
    ]

    content {
      notification_type          = notification.value.type
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [coalesce(var.budget.email, var.notification_email)]
    }
  }
}
