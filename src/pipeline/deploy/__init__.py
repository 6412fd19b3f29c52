"""Builds, plans, deploys and destroys the infrastructure; environments and their Terraform state."""
