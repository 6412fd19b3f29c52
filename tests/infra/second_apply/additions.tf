# What the second apply changes infra/ to: a key for the alias to move to, and a layer for the functions.

resource "aws_kms_key" "other" {
  description = "What the alias points to after the second apply."
  tags        = local.tags
}

resource "aws_lambda_layer_version" "other" {
  layer_name = "${local.name}-other"
  filename   = local.package_file["starter"]
}
