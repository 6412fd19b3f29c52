# Tests the workgroup on a mocked AWS. tests/analytics checks the resources of Glue in a plan.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "workgroup" {
  assert {
    condition = (
      aws_athena_workgroup.this.name == "order-pipeline-dev"
      && aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration
      && aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 10737418240
      && aws_athena_workgroup.this.configuration[0].result_configuration[0].output_location == "s3://order-pipeline-dev-processed-123456789012/queries/"
      && aws_athena_workgroup.this.configuration[0].result_configuration[0].expected_bucket_owner == "123456789012"
      && aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_S3"
    )
    error_message = "The workgroup must enforce the scan limit and the encrypted location of results for all queries."
  }

  assert {
    condition     = alltrue([for query in aws_athena_named_query.this : query.workgroup == "order-pipeline-dev" && length(query.description) > 10])
    error_message = "Every saved query must belong to the workgroup and have a description."
  }
}

run "other_settings" {
  variables {
    project              = "shop"
    environment          = "prod-eu"
    customer_managed_key = true
    max_query_bytes      = 10485760
    first_ingest_date    = "2020-02-29"
  }

  assert {
    condition = (
      aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 10485760
      && aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS"
      && aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == local.key_arn
    )
    error_message = "Query results must be encrypted with the key if there is one."
  }

  assert {
    condition = (
      aws_glue_catalog_database.this["orders"].name == "shop_prod_eu_orders"
      && aws_glue_catalog_table.external["orders.orders"].parameters["projection.ingest_date.range"] == "2020-02-29,NOW"
      && aws_glue_catalog_table.external["orders.orders"].storage_descriptor[0].location == "s3://shop-prod-eu-processed-123456789012/tables/orders/orders/"
    )
    error_message = "A deployment's database must have its name, read its bucket, and start at first_ingest_date."
  }
}
