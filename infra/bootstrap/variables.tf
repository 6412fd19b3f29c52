variable "project" {
  description = "The project of infra/, which is the first part of the names of all resources that the roles may change."
  type        = string
  default     = "order-pipeline"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 24
    error_message = "project must be at most 24 lower-case letters, digits and single dashes, and begin with a letter."
  }
}

variable "region" {
  description = "The AWS region of the bucket."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-central-1."
  }
}

variable "environments" {
  description = "The environments in this account and their regions. Each environment gets its own deploy role, which can't change other environments."
  type        = map(string)
  default     = { dev = "eu-central-1", prod = "eu-central-1" }
  nullable    = false

  # deploy, plan and boundary are parts of names created here, which no deploy role may change. smoke is for `make
  # smoke`.
  validation {
    condition = alltrue([
      for name in keys(var.environments) :
      can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", name)) && length(name) <= 12 && !can(regex("^(deploy|plan|boundary|smoke)(-|$)", name))
    ])
    error_message = "Names in environments must have at most 12 lower-case letters, digits and single dashes, as in infra/. The names deploy, plan, boundary and smoke are reserved."
  }

  validation {
    condition = alltrue(flatten([
      for name in keys(var.environments) : [for other in keys(var.environments) : !startswith(other, "${name}-")]
    ]))
    error_message = "No name in environments may be a prefix of another, such as prod and prod-eu, because the role for <project>-prod-* could change the other environment."
  }

  validation {
    condition     = alltrue([for region in values(var.environments) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "The regions of environments must look like eu-central-1."
  }
}

variable "smoke_region" {
  description = "The region to which `make smoke` deploys. Its deployments get a separate boundary and, with a repository, a separate role, which can't change any environment."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.smoke_region))
    error_message = "smoke_region must look like eu-central-1."
  }
}

variable "repository" {
  description = <<-EOT
    The GitHub repository whose workflows plan and deploy, as in GitHub's OIDC tokens: owner/name, or, for a repository
    that was created, renamed or moved since July 2026, owner@1234/name@5678 with GitHub's ids. If it is null,
    only the bucket and the boundary are created, without roles.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.repository == null || can(regex("^[\\w.-]+(@[0-9]+/[\\w.-]+@[0-9]+|/[\\w.-]+)$", var.repository))
    error_message = "repository must look like owner/name or owner@1234/name@5678, without a wildcard."
  }
}

variable "branch" {
  description = "The branch for deployments. Only workflows of this branch and of pull requests may plan."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition     = can(regex("^[\\w./-]+$", var.branch))
    error_message = "branch must be the name of one branch, without a wildcard."
  }
}

variable "oidc_provider_arn" {
  description = "The ARN of the account's OIDC provider for token.actions.githubusercontent.com. An account can have only one provider. If it is null, a provider is created."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[\\w-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be the ARN of a provider for token.actions.githubusercontent.com, or null."
  }
}

variable "customer_managed_key" {
  description = "Whether infra/ is deployed with customer_managed_key. The roles may then create keys, and administer those with the project's tags."
  type        = bool
  default     = false
  nullable    = false
}

variable "tags" {
  description = "Additional tags for every resource. Project and ManagedBy are always set."
  type        = map(string)
  default     = {}
  nullable    = false
}
