terraform {
  required_version = ">= 1.10"

  # A file in this folder. A team puts its state into a bucket instead, with a backend "s3" here. Neither is used on
  # the embedded AWS, which gets a copy of this folder with a backend of its own.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
