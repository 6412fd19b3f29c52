# Resources that an account needs once, before the first deployment: a bucket for Terraform's state and, if GitHub
# deploys, the roles that it assumes. An administrator applies them with `make bootstrap`, whose state is in that
# bucket.

terraform {
  required_version = ">= 1.10"

  # A state file, for running Terraform directly. `make bootstrap` creates the bucket first, replaces this with a
  # backend "s3" and imports the bucket.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region
}
