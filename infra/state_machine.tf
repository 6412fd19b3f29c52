# The state machine: statemachine/pipeline.asl.json with the ARNs filled in.

locals {
  definition_file = "${path.module}/../statemachine/pipeline.asl.json"

  # The TimeoutSeconds of each function's task, by function. The values come from the template, which is valid JSON
  # before it is rendered, so a plan can check them.
  states = jsondecode(file(local.definition_file)).States
  tasks = concat(
    values(local.states),
    flatten([for state in values(local.states) : values(try(state.ItemProcessor.States, {}))])
  )
  task_seconds = {
    for task in local.tasks :
    trimsuffix(regex("\\w+", task.Parameters.FunctionName), "_arn") => task.TimeoutSeconds
    if can(task.Parameters.FunctionName)
  }
  hurried_tasks = [
    for function, seconds in local.task_seconds : function
    if seconds < var.timeout_seconds[function] + 10
  ]
}

resource "aws_sfn_state_machine" "pipeline" {
  name     = local.name
  type     = "STANDARD"
  role_arn = aws_iam_role.state_machine.arn

  definition = templatefile(local.definition_file, {
    partition          = local.partition
    validate_arn       = local.version_arn.validate
    transform_arn      = local.version_arn.transform
    write_arn          = local.version_arn.write
    record_failure_arn = local.version_arn.record_failure
    topic_arn          = aws_sns_topic.notices.arn
  })

  # No customer managed key: Step Functions would then omit the input from its events, and record_failure could not find
  # the batch. Input, output and history contain only pointers and counts, and are encrypted with an AWS key.

  # Level ALL, with execution data: payloads are pointers and counts, so the log contains no records and costs less than
  # the state transitions. The log can still be queried after Step Functions deletes the execution.
  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  tags = local.tags

  # Step Functions checks the role's permission to deliver logs when it creates the state machine.
  depends_on = [aws_iam_role_policy.state_machine]

  lifecycle {
    precondition {
      condition     = length(local.hurried_tasks) == 0
      error_message = "In the definition, a task's TimeoutSeconds must be at least 10 seconds longer than its function's timeout. TimeoutSeconds is too short for: ${join(", ", local.hurried_tasks)}. Lower timeout_seconds, or raise TimeoutSeconds in statemachine/pipeline.asl.json."
    }
  }
}
