# What a team needs once an account, before the first deploy: a bucket for Terraform's state and, where GitHub deploys,
# the roles that it takes on. `make bootstrap` applies it, as an administrator, and keeps its own state in the bucket.

terraform {
  required_version = ">= 1.10"

  # A file for who runs Terraform alone. `make bootstrap` makes the bucket first, puts a backend "s3" in the place of this
  # and lets Terraform take the bucket over.
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
