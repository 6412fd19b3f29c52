# Settings of the environment prod (ENV=prod), which is named after this file. In prod, buckets that are not empty are
# never destroyed, and destroying asks for the deployment's name.

# The permissions boundary from infra/bootstrap. Use null if the account was not bootstrapped.
permissions_boundary = "order-pipeline-boundary-prod"

force_destroy      = false # overrides personal settings
log_retention_days = 365

# notification_email = "data@example.com"
# customer_managed_key = true
