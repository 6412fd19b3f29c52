data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  tags = merge(var.tags, { Project = var.project, ManagedBy = "terraform" })

  # The name prefixes of what each role deploys. `make smoke` uses environments such as smoke-1a2b3c.
  names = merge({ for name in keys(var.environments) : name => "${var.project}-${name}" }, { smoke = "${var.project}-smoke-*" })

  # None of these has the prefix that an environment's role may change: <project>-<environment>.
  bucket     = "tfstate-${var.project}-${local.account_id}"
  boundaries = { for name in keys(local.names) : name => "${var.project}-boundary-${name}" }

  state_arn = "arn:${local.partition}:s3:::${local.bucket}"
}
