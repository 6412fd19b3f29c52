output "state_bucket" {
  description = "The variable TF_STATE_BUCKET: where Terraform's state is."
  value       = aws_s3_bucket.state.bucket
}

output "permissions_boundaries" {
  description = "The variable permissions_boundary of infra/, for each of infra/environments/ and for `make smoke`."
  value       = { for name, policy in aws_iam_policy.boundary : name => policy.name }
}

output "plan_role" {
  description = "The variable AWS_PLAN_ROLE of the repository; null without a repository."
  value       = try(aws_iam_role.github["plan"].arn, null)
}

output "deploy_roles" {
  description = "The variable AWS_DEPLOY_ROLE of each of GitHub's environments."
  value       = { for name in keys(var.environments) : name => aws_iam_role.github["deploy-${name}"].arn if local.with_github }
}

output "smoke_role" {
  description = "The variable AWS_SMOKE_ROLE of the repository; null without a repository."
  value       = try(aws_iam_role.github["deploy-smoke"].arn, null)
}

output "repository" {
  description = "The repository that the roles are for, so that the next `make bootstrap` need not be told; null without one."
  value       = var.repository
}
