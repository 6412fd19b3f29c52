# What `pipeline smoke` changes by its second apply: one description, the memory, and one tag, of resources whose
# updates AWS authorizes in different ways. Terraform merges this file into the resources that it names.

resource "aws_iam_role" "function" {
  description = "Role of the function ${each.value.name}, changed by the smoke test."
}

resource "aws_lambda_function" "this" {
  description = "${each.value.description} Changed by the smoke test."
  memory_size = var.memory_mb[each.key] + 64
  tags        = merge(local.tags, { SmokeTest = "changed" })
}

resource "aws_sns_topic" "notices" {
  tags = merge(local.tags, { SmokeTest = "changed" })
}

resource "aws_s3_bucket" "this" {
  tags = merge(local.tags, { SmokeTest = "changed" })
}

resource "aws_kms_key" "this" {
  description = "Everything that ${local.name} keeps. Changed by the smoke test."
  tags        = merge(local.tags, { SmokeTest = "changed" })
}
