# The state machine: statemachine/pipeline.asl.json with the ARNs filled in.

locals {
  definition_file = "${path.module}/../statemachine/pipeline.asl.json"

  # Seconds that the definition gives each function's task, by function. Read from the file as it is, which is JSON
  # before it is rendered: so a plan can judge it.
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

  # No key of our own: Step Functions then leaves the input out of its events, and record_failure would not know whose
  # execution died. Input, output and history are pointers and counts, and encrypted with a key of AWS's.

  # Everything, with data: payloads are pointers and counts, so it holds no record and costs less than the
  # transitions do; and it can be queried after the console has forgotten the execution.
  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  tags = local.tags

  # Step Functions tries the role's right to deliver logs when the machine is made.
  depends_on = [aws_iam_role_policy.state_machine]

  lifecycle {
    precondition {
      condition     = length(local.hurried_tasks) == 0
      error_message = "The definition must give a task at least 10 seconds more than its function has; it does not for: ${join(", ", local.hurried_tasks)}. Lower timeout_seconds, or raise TimeoutSeconds in statemachine/pipeline.asl.json."
    }
  }
}
