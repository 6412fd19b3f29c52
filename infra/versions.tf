terraform {
  required_version = ">= 1.10"

  # A file on this machine: `terraform init -backend-config=path=…` says which, one for each copy. A team puts its
  # state into a bucket instead, with a backend "s3" here.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
