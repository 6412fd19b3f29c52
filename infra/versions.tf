terraform {
  required_version = ">= 1.10"

  # A file in this folder. With TF_STATE_BUCKET set, `pipeline` puts a backend "s3" in its place, in a file beside this
  # one; the embedded AWS gets a copy of this folder with a backend of its own.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
