# China and GovCloud are separate partitions. tests/infra/test_partitions.py checks the policies there.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.aws_partition.current
  values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
}

run "in_china" {
  variables {
    region = "cn-north-1"
  }

  assert {
    condition = alltrue([
      for resource in regexall("\"Resource\": \"([^\"]+)\"", aws_sfn_state_machine.pipeline.definition) :
      startswith(resource[0], "arn:aws-cn:states:::")
    ]) && !strcontains(aws_sfn_state_machine.pipeline.definition, "arn:aws:states")
    error_message = "The definition must call services by the ARNs of their partition."
  }

  assert {
    condition     = startswith(output.state_machine_console_url, "https://cn-north-1.console.amazonaws.cn/")
    error_message = "Console links in China must use its own domain."
  }
}
