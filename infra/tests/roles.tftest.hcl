# Tests which role is passed to which resource. No emulator checks this, and the other tests use one role for all.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_iam_role.function["starter"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-starter" }
}

override_resource {
  target = aws_iam_role.function["validate"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-validate" }
}

override_resource {
  target = aws_iam_role.function["transform"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-transform" }
}

override_resource {
  target = aws_iam_role.function["write"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-write" }
}

override_resource {
  target = aws_iam_role.function["record_failure"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-record-failure" }
}

override_resource {
  target = aws_iam_role.function["record_run"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-record-run" }
}

override_resource {
  target = aws_iam_role.function["reconciler"]
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-reconciler" }
}

override_resource {
  target = aws_iam_role.state_machine
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-state-machine" }
}

override_resource {
  target = aws_iam_role.scheduler
  values = { arn = "arn:aws:iam::123456789012:role/order-pipeline-dev-scheduler" }
}

run "each_is_given_its_own_role" {
  assert {
    condition = alltrue([
      for function in aws_lambda_function.this : function.role == "arn:aws:iam::123456789012:role/${function.function_name}"
    ])
    error_message = "A function must get its own role: ${jsonencode({ for key, function in aws_lambda_function.this : key => function.role })}"
  }

  assert {
    condition     = aws_sfn_state_machine.pipeline.role_arn == "arn:aws:iam::123456789012:role/order-pipeline-dev-state-machine"
    error_message = "The state machine must get its own role."
  }

  assert {
    condition     = aws_scheduler_schedule.reconcile[0].target[0].role_arn == "arn:aws:iam::123456789012:role/order-pipeline-dev-scheduler"
    error_message = "The schedule must get its own role."
  }
}
