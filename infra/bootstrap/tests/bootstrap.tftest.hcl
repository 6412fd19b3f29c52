# Tests the resources on a mocked AWS, and the validation of each variable.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "without_a_repository_there_is_only_the_bucket_and_the_boundary" {
  command = plan

  assert {
    condition     = length(aws_iam_role.github) == 0 && length(aws_iam_openid_connect_provider.github) == 0 && output.plan_role == null && output.smoke_role == null && output.deploy_roles == {}
    error_message = "Without a repository, there must be no roles."
  }

  assert {
    condition     = output.state_bucket == "tfstate-order-pipeline-123456789012" && output.permissions_boundaries == { dev = "order-pipeline-boundary-dev", prod = "order-pipeline-boundary-prod", smoke = "order-pipeline-boundary-smoke" }
    error_message = "The CLI and infra/environments/ rely on these names."
  }
}

run "an_account_has_but_one_provider" {
  command = plan

  variables {
    repository        = "example/orders"
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && toset(keys(aws_iam_role.github)) == toset(["deploy-dev", "deploy-prod", "deploy-smoke", "plan"])
    error_message = "An existing OIDC provider must be used."
  }
}

run "wrong_kinds" {
  command = plan

  variables {
    project           = "Order_Pipeline"
    region            = "Frankfurt"
    environments      = { deploy-x = "eu-central-1" }
    smoke_region      = "Frankfurt"
    repository        = "example/*"
    branch            = "ma*n"
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/example.org"
  }

  expect_failures = [
    var.project,
    var.region,
    var.environments,
    var.smoke_region,
    var.repository,
    var.branch,
    var.oidc_provider_arn,
  ]
}

run "a_region_of_an_environment" {
  command = plan

  variables {
    environments = { dev = "Frankfurt" }
  }

  expect_failures = [var.environments]
}

run "an_environment_called_smoke" {
  command = plan

  variables {
    environments = { smoke = "eu-central-1" }
  }

  expect_failures = [var.environments]
}

run "an_environment_that_begins_like_another" {
  command = plan

  variables {
    environments = { prod = "eu-central-1", prod-eu = "eu-west-1" }
  }

  expect_failures = [var.environments]
}
