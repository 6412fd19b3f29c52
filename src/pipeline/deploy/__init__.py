"""Builds, plans, deploys and destroys the infrastructure. Manages environments and their Terraform state."""
