# Credentials come from the environment, and so do the endpoints of the local emulator. Each resource sets its tags
# (local.tags) instead of default_tags here, so they are visible in the code and in the plan.
provider "aws" {
  region = var.region
}
