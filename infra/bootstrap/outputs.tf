output "state_bucket" {
  description = "The bucket of Terraform's state, which is the value for TF_STATE_BUCKET."
  value       = aws_s3_bucket.state.bucket
}

output "permissions_boundaries" {
  description = "The value for the variable permissions_boundary of infra/, for each environment and for `make smoke`."
  value       = { for name, policy in aws_iam_policy.boundary : name => policy.name }
}

output "plan_role" {
  description = "The value for the repository's variable AWS_PLAN_ROLE. Null without a repository."
  value       = try(aws_iam_role.github["plan"].arn, null)
}

output "deploy_roles" {
  description = "The value for the variable AWS_DEPLOY_ROLE of each GitHub environment."
  value       = { for name in keys(var.environments) : name => aws_iam_role.github["deploy-${name}"].arn if local.with_github }
}

output "smoke_role" {
  description = "The value for the repository's variable AWS_SMOKE_ROLE. Null without a repository."
  value       = try(aws_iam_role.github["deploy-smoke"].arn, null)
}

output "repository" {
  description = "The repository that the roles trust, which the next `make bootstrap` uses by default. Null without a repository."
  value       = var.repository
}
