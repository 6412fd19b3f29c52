terraform {
  required_version = ">= 1.10"

  # By default, the state is a file in this folder. If TF_STATE_BUCKET is set, `pipeline` writes a file that replaces
  # this backend with a backend "s3". For the local emulator, `pipeline` copies this folder and sets another backend.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
