# Settings of the environment dev (ENV=dev), which is named after this file. infra/variables.tf lists all variables.

# The permissions boundary from infra/bootstrap. Use null if the account was not bootstrapped.
permissions_boundary = "order-pipeline-boundary-dev"

log_retention_days = 14
