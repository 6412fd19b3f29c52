# ---------------------------------------------------------------------------------------------------------------
# Names and region
# ---------------------------------------------------------------------------------------------------------------

variable "project" {
  description = "The first part of every name, and the value of the Project tag."
  type        = string
  default     = "order-pipeline"
  nullable    = false

  # Bucket names allow 63 characters: project, environment, the longest suffix and a 12-digit account fit.
  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 24
    error_message = "project must be at most 24 lower-case letters, digits and single dashes, and begin with a letter."
  }
}

variable "environment" {
  description = "The second part of every name, and the value of the Environment tag: dev, prod, or another name, such as your own for a personal deployment."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.environment)) && length(var.environment) <= 12
    error_message = "environment must be at most 12 lower-case letters, digits and single dashes."
  }
}

variable "region" {
  description = "The AWS region of all resources."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-central-1."
  }
}

variable "tags" {
  description = "Additional tags for every resource. Project, Environment, Deployment and ManagedBy are always set."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags must not begin with aws:, which AWS reserves."
  }
}

variable "notification_email" {
  description = "The e-mail address for notifications and alarms. AWS sends this address a link to confirm each subscription. If it is null, no subscriptions are created."
  type        = string
  default     = null

  validation {
    condition     = var.notification_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.notification_email))
    error_message = "notification_email must be one e-mail address, or null."
  }
}

variable "permissions_boundary" {
  description = "The name of the IAM policy that is the permissions boundary of every role. The deploy role of infra/bootstrap can't create roles without it. If it is null, there is no boundary."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^[\\w+=,.@/-]+$", var.permissions_boundary))
    error_message = "permissions_boundary must be null, or the name of an IAM policy in the account (not its ARN)."
  }
}

variable "customer_managed_key" {
  description = <<-EOT
    Whether files, logs, notifications, failed events and the functions' environment variables are encrypted with a
    customer managed KMS key, which you can audit and disable, instead of AWS's keys. Producers then also need
    kms:GenerateDataKey and kms:Decrypt on the key, and analysts need kms:Decrypt. Turn it on before you upload the
    first file. Turning it off schedules the key's deletion: everything that it encrypted becomes unreadable
    immediately. You can cancel the deletion for 30 days.
  EOT
  type        = bool
  default     = false
  nullable    = false
}

variable "key_wait_seconds" {
  description = <<-EOT
    The number of seconds that a deployment waits between the creation of the customer managed key's alias and the first
    file. It waits only if there is a permissions boundary, which recognizes the key by this alias. A new alias may take
    five minutes to affect authorization. Until then, every function would fail with an access error.
  EOT
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.key_wait_seconds >= 0 && var.key_wait_seconds <= 900 && floor(var.key_wait_seconds) == var.key_wait_seconds
    error_message = "key_wait_seconds must be a whole number from 0 to 900."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Functions
# ---------------------------------------------------------------------------------------------------------------

variable "packages_dir" {
  description = "The folder of the prebuilt zips: one per function and, for python3.13, one per layer. Terraform does not build them."
  type        = string
  default     = "../build/aws"
  nullable    = false
}

variable "contracts_dir" {
  description = <<-EOT
    The folder of the contracts, absolute or relative to infra/, with one subfolder per dataset. The zips must contain
    the same contracts. For contracts outside the project, `make build` creates zips in a separate folder and prints
    the folder's name. If you run Terraform directly, set packages_dir to this folder.
  EOT
  type        = string
  default     = "../contracts"
  nullable    = false
}

variable "lambda_runtime" {
  description = "The Lambda runtime. With python3.13, packages are in layers. With provided.al2023, each zip contains a bootstrap and all packages."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    condition     = contains(["python3.13", "provided.al2023"], var.lambda_runtime)
    error_message = "lambda_runtime must be python3.13 or provided.al2023."
  }
}

variable "architecture" {
  description = "The CPU architecture of the zips. arm64 costs 20% less."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "The memory of each function in MiB. CPU is proportional to memory: 1769 MiB is one vCPU."
  type = object({
    starter        = optional(number, 256)
    validate       = optional(number, 1769)
    transform      = optional(number, 1769)
    write          = optional(number, 1769)
    record_failure = optional(number, 256)
    record_run     = optional(number, 256)
    reconciler     = optional(number, 512)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for mb in values(var.memory_mb) : mb >= 128 && mb <= 10240 && floor(mb) == mb])
    error_message = "memory_mb must be whole numbers from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "The timeout of each function in seconds. TimeoutSeconds in statemachine/pipeline.asl.json must be at least 10 seconds longer."
  type = object({
    starter        = optional(number, 60)
    validate       = optional(number, 900)
    transform      = optional(number, 900)
    write          = optional(number, 900)
    record_failure = optional(number, 60)
    record_run     = optional(number, 60)
    reconciler     = optional(number, 900)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for seconds in values(var.timeout_seconds) : seconds >= 1 && seconds <= 900 && floor(seconds) == seconds])
    error_message = "timeout_seconds must be whole numbers from 1 to 900, which is Lambda's maximum."
  }

  validation {
    condition     = var.timeout_seconds.record_failure <= 60
    error_message = "timeout_seconds.record_failure must be at most 60, because the function writes one small object and its notification is urgent."
  }
}

variable "ephemeral_storage_mb" {
  description = "The size of each function's /tmp in MiB, for DuckDB's temporary files and for results before their upload. 512 MiB is free."
  type = object({
    starter        = optional(number, 512)
    validate       = optional(number, 10240)
    transform      = optional(number, 10240)
    write          = optional(number, 10240)
    record_failure = optional(number, 512)
    record_run     = optional(number, 512)
    reconciler     = optional(number, 512)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for mb in values(var.ephemeral_storage_mb) : mb >= 512 && mb <= 10240 && floor(mb) == mb])
    error_message = "ephemeral_storage_mb must be whole numbers from 512 to 10240."
  }
}

variable "log_level" {
  description = "The lowest level of log lines that the functions write."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# How files are read
# ---------------------------------------------------------------------------------------------------------------

variable "max_reject_ratio" {
  description = "The share, 0 to 1, above which a whole file fails. It applies to rejected records among all records, and to bytes that can't be read as records among all nonblank bytes."
  type        = number
  default     = 0.1
  nullable    = false

  validation {
    condition     = var.max_reject_ratio >= 0 && var.max_reject_ratio <= 1
    error_message = "max_reject_ratio must be a number from 0 to 1."
  }
}

variable "chunk_bytes" {
  description = "The planned size of one chunk of a JSON Lines file, in bytes. Small values are for tests, because each chunk costs two function calls."
  type        = number
  default     = 67108864 # 64 MiB
  nullable    = false

  validation {
    condition     = var.chunk_bytes >= 1 && floor(var.chunk_bytes) == var.chunk_bytes
    error_message = "chunk_bytes must be a whole number of at least 1."
  }
}

variable "max_object_bytes" {
  description = "The largest file that is accepted, in bytes as stored. A larger file fails."
  type        = number
  default     = 5368709120 # 5 GiB
  nullable    = false

  validation {
    condition     = var.max_object_bytes >= 1 && floor(var.max_object_bytes) == var.max_object_bytes
    error_message = "max_object_bytes must be a whole number of at least 1."
  }
}

variable "max_inflated_bytes" {
  description = "The largest file that can't be split into chunks, in bytes, after decompression if it is compressed. It does not limit uncompressed JSON Lines."
  type        = number
  default     = 4294967296 # 4 GiB
  nullable    = false

  validation {
    condition     = var.max_inflated_bytes >= 1 && floor(var.max_inflated_bytes) == var.max_inflated_bytes
    error_message = "max_inflated_bytes must be a whole number of at least 1."
  }
}

variable "max_inflation_ratio" {
  description = "The highest ratio of a compressed file's decompressed size to its stored size. It protects against decompression bombs."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.max_inflation_ratio >= 1 && floor(var.max_inflation_ratio) == var.max_inflation_ratio
    error_message = "max_inflation_ratio must be a whole number of at least 1."
  }
}

variable "max_record_bytes" {
  description = "The largest record, in bytes of JSON. A whole record is read into memory."
  type        = number
  default     = 8388608 # 8 MiB
  nullable    = false

  validation {
    condition     = var.max_record_bytes >= 1 && floor(var.max_record_bytes) == var.max_record_bytes
    error_message = "max_record_bytes must be a whole number of at least 1."
  }
}

variable "max_nesting" {
  description = "The maximum nesting depth of a record's arrays and objects. A record with deeper nesting is rejected."
  type        = number
  default     = 64
  nullable    = false

  validation {
    condition     = var.max_nesting >= 1 && var.max_nesting <= 250 && floor(var.max_nesting) == var.max_nesting
    error_message = "max_nesting must be a whole number from 1 to 250, which is the limit of the libraries that read and write records."
  }
}

variable "max_reject_bytes" {
  description = "The maximum size of one chunk's rejects, in bytes. If a chunk has more, the file fails."
  type        = number
  default     = 268435456 # 256 MiB
  nullable    = false

  validation {
    condition     = var.max_reject_bytes >= 1 && floor(var.max_reject_bytes) == var.max_reject_bytes
    error_message = "max_reject_bytes must be a whole number of at least 1."
  }
}

variable "unknown_fields" {
  description = "How to treat a field that the contract does not define: reject its record, or drop the field and keep the record. In both cases, the manifest counts such fields by name."
  type        = string
  default     = "reject"
  nullable    = false

  validation {
    condition     = contains(["reject", "drop"], var.unknown_fields)
    error_message = "unknown_fields must be reject or drop."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Monitoring
# ---------------------------------------------------------------------------------------------------------------

variable "reconcile" {
  description = <<-EOT
    When the reconciler looks for files without an outcome. The schedule is a rate or cron expression of EventBridge
    Scheduler, in UTC, or off. The reconciler checks the files of the last since_hours, except the files of the last
    grace_minutes, whose events may still be in transit. Let since_hours cover several runs, in case a run is missed. An
    alarm fires after silent_hours without a run. The maximum is 168, and 0 disables the alarm. The default is one hour
    more than between two runs, and at least 25. Set silent_hours if a cron expression skips days.
  EOT
  type = object({
    schedule      = optional(string, "rate(1 hour)")
    since_hours   = optional(number, 72)
    grace_minutes = optional(number, 15)
    silent_hours  = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^(off|rate\\(([2-9]|[1-9][0-9]+) (minutes|hours|days)\\)|rate\\(1 (minute|hour|day)\\)|cron\\([^()]+\\))$", var.reconcile.schedule))
    error_message = "reconcile.schedule must look like rate(1 hour), rate(30 minutes) or cron(0 6 * * ? *), or be off."
  }

  validation {
    condition = alltrue([
      for number in [var.reconcile.since_hours, var.reconcile.grace_minutes] : number >= 1 && floor(number) == number
    ])
    error_message = "reconcile.since_hours and reconcile.grace_minutes must be whole numbers of at least 1."
  }

  validation {
    condition     = var.reconcile.since_hours * 60 > var.reconcile.grace_minutes
    error_message = "reconcile.since_hours must be longer than reconcile.grace_minutes, because otherwise no file is ever checked."
  }

  validation {
    condition     = var.reconcile.silent_hours == null || try(contains(range(169), var.reconcile.silent_hours), true)
    error_message = "reconcile.silent_hours must be null, or a whole number from 0 to 168, because CloudWatch looks back one week."
  }
}

variable "alarms" {
  description = <<-EOT
    The thresholds of two alarms. One fires if more than the share reject_ratio of a dataset's records is rejected within
    five minutes. By default, reject_ratio is half of max_reject_ratio. The other fires if no file arrives for a dataset
    within silent_hours, which is at most 168. Use 0 to disable this alarm.
  EOT
  type = object({
    reject_ratio = optional(number)
    silent_hours = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition     = try(var.alarms.reject_ratio >= 0 && var.alarms.reject_ratio <= 1, var.alarms.reject_ratio == null)
    error_message = "alarms.reject_ratio must be a number from 0 to 1, or null."
  }

  validation {
    condition     = var.alarms.silent_hours >= 0 && var.alarms.silent_hours <= 168 && floor(var.alarms.silent_hours) == var.alarms.silent_hours
    error_message = "alarms.silent_hours must be a whole number from 0 to 168, because CloudWatch looks back one week."
  }
}

variable "runbook_url" {
  description = "The URL of docs/guides/recover.md, for links in alarms and on the dashboard. If it is null, links have only the file name."
  type        = string
  default     = null

  validation {
    condition     = var.runbook_url == null || can(regex("^https://[^\\s#()]+$", var.runbook_url))
    error_message = "runbook_url must be null, or begin with https:// and have no # part."
  }
}

variable "dashboard" {
  description = "Whether to create a CloudWatch dashboard. The first three dashboards of an account are free. Each additional dashboard costs $3 per month."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_queries" {
  description = "Whether to create saved queries in CloudWatch Logs Insights. Turn it off for the local emulator, which doesn't support them."
  type        = bool
  default     = true
  nullable    = false
}

variable "budget" {
  description = <<-EOT
    An AWS budget of monthly_usd, in USD per month, for the resources with this deployment's tag. AWS notifies the
    address email, or notification_email if email is null, at 80%, at 100% and when the forecast exceeds the budget. By
    default, there is no budget. First activate the tag as a cost allocation tag. Otherwise, AWS does not count by it.
  EOT
  type = object({
    monthly_usd = number
    email       = optional(string)
  })
  default = null

  validation {
    condition     = try(var.budget.monthly_usd > 0, var.budget == null)
    error_message = "budget.monthly_usd must be greater than 0."
  }

  validation {
    condition     = var.budget == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", coalesce(var.budget.email, var.notification_email)))
    error_message = "budget.email must be one e-mail address. It may be null only if notification_email is set."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Queries
# ---------------------------------------------------------------------------------------------------------------

variable "first_ingest_date" {
  description = "The first day that Athena reads, such as 2026-01-31. No file may have arrived earlier. In queries that don't filter by day, each day since then costs one S3 request per table."
  type        = string
  default     = "2026-01-01"
  nullable    = false

  validation {
    condition     = can(regex("^\\d{4}-\\d{2}-\\d{2}$", var.first_ingest_date)) && can(timeadd("${var.first_ingest_date}T00:00:00Z", "0s"))
    error_message = "first_ingest_date must be a date such as 2026-01-31."
  }
}

variable "max_query_bytes" {
  description = "The maximum number of bytes that one Athena query may scan. Athena cancels a query that would scan more. Scanning 1 TiB costs about $5."
  type        = number
  default     = 10737418240 # 10 GiB
  nullable    = false

  validation {
    condition     = var.max_query_bytes >= 10485760 && floor(var.max_query_bytes) == var.max_query_bytes
    error_message = "max_query_bytes must be a whole number of at least 10485760, which is Athena's minimum."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# Retention
# ---------------------------------------------------------------------------------------------------------------

variable "retention_days" {
  description = <<-EOT
    The number of days to keep each kind of object, or 0 to keep it forever. Deleted, expired and replaced objects can be
    restored for another `replaced` days (`staging` and `queries`: one day). `incoming`, `rejected`, `processed`,
    `tables` and `queries` (the results of Athena queries) may contain personal data.
  EOT
  type = object({
    incoming  = optional(number, 0)
    staging   = optional(number, 7)
    rejected  = optional(number, 90)
    processed = optional(number, 0)
    tables    = optional(number, 0)
    manifests = optional(number, 0)
    failures  = optional(number, 0)
    queries   = optional(number, 7)
    runs      = optional(number, 400)
    replaced  = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for days in values(var.retention_days) : days >= 0 && floor(days) == days])
    error_message = "retention_days must be whole numbers of at least 0, which keeps objects forever."
  }

  validation {
    condition     = var.retention_days.staging == 0 || var.retention_days.staging >= 2
    error_message = "retention_days.staging must be 0, or at least 2, because an execution may run for hours and S3 counts days from midnight."
  }

  # A version exists until `incoming` and `replaced` have passed. Until then, a manifest or failure record must exist.
  validation {
    condition = alltrue([
      for trace in [var.retention_days.manifests, var.retention_days.failures] :
      trace == 0 || (
        var.retention_days.incoming > 0 && var.retention_days.replaced > 0 &&
        var.retention_days.incoming + var.retention_days.replaced <= trace
      )
    ])
    error_message = "retention_days.manifests and retention_days.failures must be 0, or at least incoming + replaced. Otherwise, backfill would treat a file as never started and start it again."
  }

  validation {
    condition = var.retention_days.manifests == 0 || alltrue([
      for kind in ["processed", "tables"] :
      var.retention_days[kind] > 0 && var.retention_days[kind] <= var.retention_days.manifests
    ])
    error_message = "retention_days.manifests must be 0, or at least processed and tables, because only files that a manifest lists are published."
  }
}

variable "lifecycle_rules" {
  description = "Whether to create the lifecycle rules for retention_days. Turn it off for the local emulator, which doesn't expire objects. The provider would wait a minute for the rules."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "The number of days to keep the logs of the functions and of the state machine."
  type        = number
  default     = 30
  nullable    = false

  # The values that CloudWatch Logs accepts, except 0, which keeps logs forever.
  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days
    )
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete nonempty buckets. By default, it may, except in the environment prod."
  type        = bool
  default     = null
}
