# Credentials come from the environment, and so do the endpoints when this is applied to an embedded AWS. Tags stand on
# each resource (local.tags) and not here as default_tags: a reader and a plan see them where they are.
provider "aws" {
  region = var.region
}
