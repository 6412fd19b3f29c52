# What checkov looks at infra/ with: all that can be turned on is.
customer_managed_key = true
notification_email   = "somebody@example.org"
budget               = { monthly_usd = 20 }
