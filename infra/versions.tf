terraform {
  required_version = ">= 1.10"

  # The default: a state file in this folder. If TF_STATE_BUCKET is set, `pipeline` writes another file that replaces it
  # with a backend "s3". For the local emulator, `pipeline` copies this folder and sets a separate backend.
  backend "local" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
