# ---------------------------------------------------------------------------------------------------------------
# What it is called and where it runs
# ---------------------------------------------------------------------------------------------------------------

variable "project" {
  description = "First part of every name, and the Project tag."
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
  description = "Second part of every name, and the Environment tag: dev, prod, or whatever tells two copies apart, such as your name where a team has those."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.environment)) && length(var.environment) <= 12
    error_message = "environment must be at most 12 lower-case letters, digits and single dashes."
  }
}

variable "region" {
  description = "The AWS region that everything is made in."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-central-1."
  }
}

variable "tags" {
  description = "More tags for every resource. Project, Environment, Deployment and ManagedBy are always set."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags must not begin with aws:, which is AWS's own prefix."
  }
}

variable "notification_email" {
  description = "Where notices and alarms go; null makes no subscription. AWS first sends this address a link to confirm each."
  type        = string
  default     = null

  validation {
    condition     = var.notification_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.notification_email))
    error_message = "notification_email must be one e-mail address, or null."
  }
}

variable "permissions_boundary" {
  description = "The name of the IAM policy that bounds every role made here: where a deploy role of infra/bootstrap deploys, it can make no role without. Null bounds none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^[\\w+=,.@/-]+$", var.permissions_boundary))
    error_message = "permissions_boundary must be the name of an IAM policy of the account, not its ARN; or null."
  }
}

variable "customer_managed_key" {
  description = <<-EOT
    Whether files, logs, notices, undelivered events and the functions' settings are encrypted with a KMS key of your
    own, which you can audit and disable, instead of AWS's. Who sends files then needs kms:GenerateDataKey and
    kms:Decrypt on it too, and who reads tables kms:Decrypt. Turn it on before the first file. Turning it off makes
    all that it encrypted unreadable at once: the key can be brought back for 30 days, and is gone then.
  EOT
  type        = bool
  default     = false
  nullable    = false
}

variable "key_wait_seconds" {
  description = <<-EOT
    How long a deploy waits after it has created the alias of a customer-managed key, before files may come in. It
    waits only where there is a permissions boundary, which recognizes the key by this alias: AWS says that a new
    alias may take five minutes to affect authorization. Until then every function would be refused.
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
  description = "The folder of the prebuilt zips: one a function and, for python3.13, one a layer. Nothing is built here."
  type        = string
  default     = "../build/aws"
  nullable    = false
}

variable "contracts_dir" {
  description = <<-EOT
    The folder of the contracts, absolute or relative to infra/: each feed is a folder there. The zips must hold the
    same, which `make build` sees to. Other contracts than the project's have zips of their own, which it names: with
    Terraform alone, let packages_dir say that folder.
  EOT
  type        = string
  default     = "../contracts"
  nullable    = false
}

variable "lambda_runtime" {
  description = "python3.13 takes its packages from layers; with provided.al2023 each zip holds a bootstrap and all it needs."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    condition     = contains(["python3.13", "provided.al2023"], var.lambda_runtime)
    error_message = "lambda_runtime must be python3.13 or provided.al2023."
  }
}

variable "architecture" {
  description = "The processor that the zips were built for. arm64 costs 20 % less."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "Memory of each function in MiB; its share of processor grows with it, and 1769 is one whole vCPU."
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
  description = "How long one call of each function may take. For those in it, the definition's TimeoutSeconds must be 10 seconds longer."
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
    error_message = "timeout_seconds must be whole numbers from 1 to 900, the most that Lambda allows."
  }

  validation {
    condition     = var.timeout_seconds.record_failure <= 60
    error_message = "timeout_seconds.record_failure must be at most 60: it writes one small object, and people wait for its notice."
  }
}

variable "ephemeral_storage_mb" {
  description = "Size of each function's /tmp in MiB, where DuckDB spills and results are made before they are uploaded. 512 is free."
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
  description = "The least severe log line that the functions keep."
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
  description = "The share, 0 to 1, above which a file fails as a whole: of rejected records among all records, or of bytes that can't be read as records among all bytes that are not blank."
  type        = number
  default     = 0.1
  nullable    = false

  validation {
    condition     = var.max_reject_ratio >= 0 && var.max_reject_ratio <= 1
    error_message = "max_reject_ratio must be a number from 0 to 1."
  }
}

variable "chunk_bytes" {
  description = "Planned size of one chunk of a JSON Lines file, in bytes. Small values are for tests: each chunk costs two function calls."
  type        = number
  default     = 67108864 # 64 MiB
  nullable    = false

  validation {
    condition     = var.chunk_bytes >= 1 && floor(var.chunk_bytes) == var.chunk_bytes
    error_message = "chunk_bytes must be a whole number of at least 1."
  }
}

variable "max_object_bytes" {
  description = "The largest file that is read, in bytes as stored. A larger one fails."
  type        = number
  default     = 5368709120 # 5 GiB
  nullable    = false

  validation {
    condition     = var.max_object_bytes >= 1 && floor(var.max_object_bytes) == var.max_object_bytes
    error_message = "max_object_bytes must be a whole number of at least 1."
  }
}

variable "max_inflated_bytes" {
  description = "The most bytes that are read at once: of a document, or of a gzipped file once inflated. Plain JSON Lines are cut, and so not bound by it."
  type        = number
  default     = 4294967296 # 4 GiB
  nullable    = false

  validation {
    condition     = var.max_inflated_bytes >= 1 && floor(var.max_inflated_bytes) == var.max_inflated_bytes
    error_message = "max_inflated_bytes must be a whole number of at least 1."
  }
}

variable "max_inflation_ratio" {
  description = "How many times its own size a gzipped file may inflate to: the guard against gzip bombs."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.max_inflation_ratio >= 1 && floor(var.max_inflation_ratio) == var.max_inflation_ratio
    error_message = "max_inflation_ratio must be a whole number of at least 1."
  }
}

variable "max_record_bytes" {
  description = "The largest single record, in bytes of JSON. It is read into memory whole."
  type        = number
  default     = 8388608 # 8 MiB
  nullable    = false

  validation {
    condition     = var.max_record_bytes >= 1 && floor(var.max_record_bytes) == var.max_record_bytes
    error_message = "max_record_bytes must be a whole number of at least 1."
  }
}

variable "max_nesting" {
  description = "How deep arrays and objects of a record may nest. A deeper record is rejected."
  type        = number
  default     = 64
  nullable    = false

  validation {
    condition     = var.max_nesting >= 1 && var.max_nesting <= 250 && floor(var.max_nesting) == var.max_nesting
    error_message = "max_nesting must be a whole number from 1 to 250: the parser itself stops at 1,024."
  }
}

variable "max_reject_bytes" {
  description = "The most bytes that the rejects of one chunk may take. A file that has more fails."
  type        = number
  default     = 268435456 # 256 MiB
  nullable    = false

  validation {
    condition     = var.max_reject_bytes >= 1 && floor(var.max_reject_bytes) == var.max_reject_bytes
    error_message = "max_reject_bytes must be a whole number of at least 1."
  }
}

variable "unknown_fields" {
  description = "What becomes of a field that the contract does not know: reject its record, or drop the field and keep the record. Either way the manifest counts them."
  type        = string
  default     = "reject"
  nullable    = false

  validation {
    condition     = contains(["reject", "drop"], var.unknown_fields)
    error_message = "unknown_fields must be reject or drop."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# What is watched
# ---------------------------------------------------------------------------------------------------------------

variable "reconcile" {
  description = <<-EOT
    When the reconciler looks for files that have no outcome: a rate or cron expression of EventBridge Scheduler, in
    UTC, or off. It looks at those of the last since_hours, but for the last grace_minutes, in which an event may
    still be on its way. since_hours must reach back over several runs, so that a missed one costs nothing. After
    silent_hours without a run an alarm goes off, up to 168; 0 never; null is an hour more than from one run to the
    next, at least 25, and must be set where a cron expression leaves out days.
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
    error_message = "reconcile.since_hours must be longer than reconcile.grace_minutes, or nothing is ever looked at."
  }

  validation {
    condition     = var.reconcile.silent_hours == null || try(contains(range(169), var.reconcile.silent_hours), true)
    error_message = "reconcile.silent_hours must be a whole number from 0 to 168, since CloudWatch looks back a week, or null."
  }
}

variable "alarms" {
  description = <<-EOT
    When two of the alarms go off. reject_ratio: when more than this share of a feed's records is rejected in five
    minutes; null is half of max_reject_ratio, above which a file fails anyway. silent_hours: when no file has come for
    a feed for so long, in hours up to 168; 0 never.
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
    error_message = "alarms.silent_hours must be a whole number from 0 to 168: CloudWatch looks back a week."
  }
}

variable "runbook_url" {
  description = "Where docs/guides/recover.md can be read, for links in alarms and on the dashboard; null names the file only."
  type        = string
  default     = null

  validation {
    condition     = var.runbook_url == null || can(regex("^https://[^\\s#()]+$", var.runbook_url))
    error_message = "runbook_url must begin with https:// and have no # part, or be null."
  }
}

variable "dashboard" {
  description = "Whether there is a dashboard in CloudWatch. An account's first three cost nothing, any other $3 a month."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_queries" {
  description = "Whether questions to the logs are saved in CloudWatch Logs Insights. Off is for an embedded AWS, which can save none."
  type        = bool
  default     = true
  nullable    = false
}

variable "budget" {
  description = <<-EOT
    An AWS budget over all that carries this deployment's tag, and so of this environment alone: how many USD a month,
    and whom AWS tells by e-mail at 80 %, at 100 % and when the month is likely to end above (email; null is
    notification_email). null makes none. AWS counts by a tag only once it is activated as a cost allocation tag.
  EOT
  type = object({
    monthly_usd = number
    email       = optional(string)
  })
  default = null

  validation {
    condition     = try(var.budget.monthly_usd > 0, var.budget == null)
    error_message = "budget.monthly_usd must be above 0."
  }

  validation {
    condition     = var.budget == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", coalesce(var.budget.email, var.notification_email)))
    error_message = "budget.email must be one e-mail address; null only where notification_email is one."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# How tables are queried
# ---------------------------------------------------------------------------------------------------------------

variable "first_ingest_date" {
  description = "The first day, as 2026-01-31, of which Athena looks for rows: no file may have arrived before. Each day since costs a query that names none a request to S3 a table."
  type        = string
  default     = "2026-01-01"
  nullable    = false

  validation {
    condition     = can(regex("^\\d{4}-\\d{2}-\\d{2}$", var.first_ingest_date)) && can(timeadd("${var.first_ingest_date}T00:00:00Z", "0s"))
    error_message = "first_ingest_date must be a date such as 2026-01-31."
  }
}

variable "max_query_bytes" {
  description = "The most bytes that one Athena query may scan; one that would scan more is stopped. A TiB costs about $5."
  type        = number
  default     = 10737418240 # 10 GiB
  nullable    = false

  validation {
    condition     = var.max_query_bytes >= 10485760 && floor(var.max_query_bytes) == var.max_query_bytes
    error_message = "max_query_bytes must be a whole number of at least 10485760, the least that Athena takes."
  }
}

# ---------------------------------------------------------------------------------------------------------------
# How long things are kept
# ---------------------------------------------------------------------------------------------------------------

variable "retention_days" {
  description = <<-EOT
    Days that each kind of object is kept; 0 keeps it for ever. What was deleted, expired or replaced stays for
    another `replaced` days (staging and queries: one), and is gone for good then. `incoming` and `rejected` hold
    records as they came, with the personal data in them; so do `processed` and `tables`, and `queries`, the results
    of Athena's.
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
    error_message = "retention_days must be whole numbers; 0 keeps for ever."
  }

  validation {
    condition     = var.retention_days.staging == 0 || var.retention_days.staging >= 2
    error_message = "retention_days.staging must be at least 2, or 0: an execution may run for hours, and S3 counts days from midnight."
  }

  # A version is there until `incoming` and `replaced` are over: for so long its trace must say what became of it.
  validation {
    condition = alltrue([
      for trace in [var.retention_days.manifests, var.retention_days.failures] :
      trace == 0 || (
        var.retention_days.incoming > 0 && var.retention_days.replaced > 0 &&
        var.retention_days.incoming + var.retention_days.replaced <= trace
      )
    ])
    error_message = "retention_days.manifests and retention_days.failures must be 0, or at least incoming and replaced together: a file without a trace counts as never started, and backfill would start it."
  }

  validation {
    condition = var.retention_days.manifests == 0 || alltrue([
      for kind in ["processed", "tables"] :
      var.retention_days[kind] > 0 && var.retention_days[kind] <= var.retention_days.manifests
    ])
    error_message = "retention_days.manifests must be 0, or at least that of processed and tables: only what a manifest names is published."
  }
}

variable "lifecycle_rules" {
  description = "Whether the buckets get the rules that carry out retention_days. Off is for a throw-away copy on an embedded AWS, which expires nothing, while the provider waits a minute for the rules to settle."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that the logs of the functions and of the state machine are kept."
  type        = number
  default     = 30
  nullable    = false

  # The values that CloudWatch Logs accepts, but for 0, which keeps for ever.
  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days
    )
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "force_destroy" {
  description = "Whether destroying may delete the buckets with everything in them. By default it may, but not where environment is prod."
  type        = bool
  default     = null
}
