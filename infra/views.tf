# The views for analysts. Athena stores a view in Glue as a table of this form, as its own CREATE VIEW does. Terraform
# therefore creates views without running queries, and deletes them with the tables.

locals {
  # A table without latest_by that isn't the record table is a part of the table that it refers to first.
  parent = {
    for key, table in local.tables : key => table.is_record || length(table.latest_by) > 0 ? null : try(
      [for reference in table.references : reference if local.tables["${table.dataset}.${reference.table}"].is_record][0],
      table.references[0],
      null
    )
  }

  arrived = { name = "ingest_date", type = "VARCHAR", description = "The date on which the file arrived." }

  run_views = {
    for dataset in keys(local.contracts) : "${dataset}.runs_current" => {
      dataset     = dataset
      name        = "runs_current"
      description = "The current runs: the highest committed revision of each file version."
      sql         = templatefile("${path.module}/views/runs_current.sql.tftpl", {})
      columns = [
        { name = "batch_id", type = "VARCHAR", description = "The batch id." },
        { name = "revision", type = "BIGINT", description = "The revision of the batch, from 1." },
        { name = "source_key", type = "VARCHAR", description = "The file's key in the ingest bucket." },
        { name = "producer", type = "VARCHAR", description = "The file's subfolder of incoming/<dataset>/. Null if there is none." },
        { name = "ingested_at", type = "TIMESTAMP", description = "The UTC time at which the file arrived." },
        local.arrived,
        { name = "received", type = "BIGINT", description = "The number of records in the file: valid + rejected." },
        { name = "valid", type = "BIGINT", description = "The number of valid records: superseded + published." },
        { name = "rejected", type = "BIGINT", description = "The number of records that violate the contract." },
        { name = "superseded", type = "BIGINT", description = "The number of valid records whose key occurs again later in the file." },
        { name = "published", type = "BIGINT", description = "The number of records in the tables." },
        { name = "ingest_order", type = "BIGINT", description = "The order of arrival, from 1. Among rows with the same key, the highest is the newest." },
      ]
    }
  }

  reject_views = {
    for dataset in keys(local.contracts) : "${dataset}.rejects" => {
      dataset     = dataset
      name        = "rejects"
      description = "The records that were not published, including those of failed files."
      sql         = templatefile("${path.module}/views/rejects.sql.tftpl", {})
      columns = [
        { name = "batch_id", type = "VARCHAR", description = "The batch of the record." },
        { name = "contract_version", type = "BIGINT", description = "The contract version that the record was validated against." },
        { name = "position", type = "BIGINT", description = "The position of the record in its file." },
        { name = "position_kind", type = "VARCHAR", description = "The unit of position: a byte offset, or a record index from 0." },
        { name = "reason", type = "VARCHAR", description = "The code of the reason. superseded: a later record in the same file has the same key." },
        { name = "pointer", type = "VARCHAR", description = "The place of the first fault in the record, as a JSON Pointer." },
        { name = "message", type = "VARCHAR", description = "A sentence that describes the first fault." },
        { name = "errors", type = "VARCHAR", description = "All faults, as a JSON array." },
        { name = "line", type = "VARCHAR", description = "The whole reject as JSON, including the original record." },
        local.arrived,
      ]
    }
  }

  table_views = {
    for key, table in local.tables : "${key}_current" => {
      dataset     = table.dataset
      name        = "${table.name}_current"
      description = "${table.description} Current rows only: from committed batches, without duplicates, with corrections applied."
      columns     = concat(table.columns, [local.arrived])
      sql = (local.parent[key] == null
        ? templatefile("${path.module}/views/newest.sql.tftpl", {
          table     = table.name
          columns   = concat(table.columns[*].name, [local.arrived.name])
          key       = table.key
          latest_by = table.is_record ? [] : table.latest_by
        })
        : templatefile("${path.module}/views/part.sql.tftpl", {
          table   = table.name
          columns = concat(table.columns[*].name, [local.arrived.name])
          parent  = local.parent[key].table
          match   = zipmap(local.parent[key].columns, local.tables["${table.dataset}.${local.parent[key].table}"].key)
        })
      )
    }
  }

  views = merge(local.run_views, local.reject_views, local.table_views)
}

# https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html
# The format of the view text is Trino's (ViewReaderUtil).
resource "aws_glue_catalog_table" "view" {
  for_each = local.views

  name          = each.value.name
  database_name = aws_glue_catalog_database.this[each.value.dataset].name
  description   = substr(each.value.description, 0, 2048)
  table_type    = "VIRTUAL_VIEW"
  parameters    = { presto_view = "true", comment = "Presto View" }

  view_expanded_text = "/* Presto View */"
  view_original_text = "/* Presto View: ${base64encode(jsonencode({
    originalSql = each.value.sql
    catalog     = "awsdatacatalog"
    schema      = local.databases[each.value.dataset]
    columns     = [for column in each.value.columns : { name = column.name, type = lower(column.type) }]
  }))} */"

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = lookup(local.glue_type, columns.value.type, lower(columns.value.type))
        comment = substr(columns.value.description, 0, 255)
      }
    }
  }
}
