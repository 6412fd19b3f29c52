# What a team needs once an account, before the first deploy: a bucket for Terraform's state and, where GitHub deploys,
# the roles that it takes on. `make bootstrap` applies it, as an administrator, and puts its own state into the bucket.

terraform {
  required_version = ">= 1.10"

  # A file, until the bucket is there: then `make bootstrap` moves it.
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
