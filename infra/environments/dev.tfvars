# What differs in dev, for ENV=dev. Its name is the file's. See infra/variables.tf for all that can be set.

# The boundary of the deploy role (infra/bootstrap). Null where nothing was bootstrapped in the account.
permissions_boundary = "order-pipeline-boundary-dev"

log_retention_days = 14
