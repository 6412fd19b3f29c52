# Credentials come from the environment; so do the endpoints when this is applied to an embedded AWS. Tags come
# from local.tags on each resource: default_tags would also tag what a caller may not tag, and hide in the plan.
provider "aws" {
  region = var.region
}
