# What differs in prod, for ENV=prod. Its name is the file's. In prod, buckets that hold anything are not destroyed, and
# destroying asks for the deployment's name.

# The boundary of the deploy role (infra/bootstrap). Null where nothing was bootstrapped in the account.
permissions_boundary = "order-pipeline-boundary-prod"

force_destroy      = false # whatever a person's own settings say
log_retention_days = 365

# notification_email = "data@example.com"
# customer_managed_key = true
