variable "project" {
  description = "The project of infra/: first part of all names that the roles may touch."
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
  description = "The environments that are deployed to this account, each with its region. Each gets a role of its own, which may touch nothing of the others."
  type        = map(string)
  default     = { dev = "eu-central-1", prod = "eu-central-1" }
  nullable    = false

  # deploy, plan and boundary: what begins the names made here, which no role made here may touch. smoke: `make smoke`.
  validation {
    condition = alltrue([
      for name in keys(var.environments) :
      can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", name)) && length(name) <= 12 && !can(regex("^(deploy|plan|boundary|smoke)(-|$)", name))
    ])
    error_message = "environments must be called as in infra/: at most 12 lower-case letters, digits and single dashes; and not deploy, plan, boundary or smoke."
  }

  validation {
    condition = alltrue(flatten([
      for name in keys(var.environments) : [for other in keys(var.environments) : !startswith(other, "${name}-")]
    ]))
    error_message = "No name in environments may be the beginning of another, as prod is of prod-eu: what the role of the one may touch, <project>-prod-*, would be the other's too."
  }

  validation {
    condition     = alltrue([for region in values(var.environments) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "The regions of environments must look like eu-central-1."
  }
}

variable "smoke_region" {
  description = "The region that `make smoke` deploys to. What it deploys there gets a boundary and, with a repository, a role of its own, which may touch no environment."
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
    The GitHub repository whose workflows plan and deploy, as GitHub's OIDC tokens name it: owner/name, or
    owner@1234/name@5678 with GitHub's ids, for a repository made, renamed or moved since July 2026. Null makes no
    roles, only the bucket and the boundary.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.repository == null || can(regex("^[\\w.-]+(@[0-9]+/[\\w.-]+@[0-9]+|/[\\w.-]+)$", var.repository))
    error_message = "repository must look like owner/name or owner@1234/name@5678, without a wildcard."
  }
}

variable "branch" {
  description = "The branch that is deployed from: apart from pull requests, only its workflows may plan."
  type        = string
  default     = "main"
  nullable    = false

  validation {
    condition     = can(regex("^[\\w./-]+$", var.branch))
    error_message = "branch must be the name of one branch, without a wildcard."
  }
}

variable "oidc_provider_arn" {
  description = "The account's OIDC provider for token.actions.githubusercontent.com, where it has one: an account can have but one. Null makes it."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[\\w-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be the ARN of a provider for token.actions.githubusercontent.com, or null."
  }
}

variable "customer_managed_key" {
  description = "Whether infra/ is deployed with customer_managed_key. The roles may then make keys, and administer those that carry the project's tags."
  type        = bool
  default     = false
  nullable    = false
}

variable "tags" {
  description = "More tags for every resource. Project and ManagedBy are always set."
  type        = map(string)
  default     = {}
  nullable    = false
}
