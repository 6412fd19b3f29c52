# The views that analysts query. Athena keeps a view in Glue as a table of this form, which is what its own CREATE VIEW
# leaves there; so views come and go with the tables, and no query has to be run.

locals {
  # A table that is neither the record table nor has latest_by is a part of what it refers to: first of all the record.
  parent = {
    for key, table in local.tables : key => table.is_record || length(table.latest_by) > 0 ? null : try(
      [for reference in table.references : reference if local.tables["${table.dataset}.${reference.table}"].is_record][0],
      table.references[0],
      null
    )
  }

  arrived = { name = "ingest_date", type = "VARCHAR", description = "The date on which that file arrived." }

  run_views = {
    for dataset in keys(local.contracts) : "${dataset}.runs_current" => {
      dataset     = dataset
      name        = "runs_current"
      description = "The runs that count: of each version of a file the highest revision that is committed."
      sql         = templatefile("${path.module}/views/runs_current.sql.tftpl", {})
      columns = [
        { name = "batch_id", type = "VARCHAR", description = "The batch." },
        { name = "revision", type = "BIGINT", description = "Its revision." },
        { name = "source_key", type = "VARCHAR", description = "The file's key in the ingest bucket." },
        { name = "producer", type = "VARCHAR", description = "The folder below incoming/<dataset>/ that the file came into; null without one." },
        { name = "ingested_at", type = "TIMESTAMP", description = "When the file arrived, UTC." },
        local.arrived,
        { name = "received", type = "BIGINT", description = "How many records it had: valid + rejected." },
        { name = "valid", type = "BIGINT", description = "How many of them keep to the contract: superseded + published." },
        { name = "rejected", type = "BIGINT", description = "How many break it." },
        { name = "superseded", type = "BIGINT", description = "How many occur again later in the file." },
        { name = "published", type = "BIGINT", description = "How many are in the tables." },
        { name = "ingest_order", type = "BIGINT", description = "1 for the oldest: of rows with one key the highest is the newest." },
      ]
    }
  }

  reject_views = {
    for dataset in keys(local.contracts) : "${dataset}.rejects" => {
      dataset     = dataset
      name        = "rejects"
      description = "The records that were not published, also of files that failed as a whole."
      sql         = templatefile("${path.module}/views/rejects.sql.tftpl", {})
      columns = [
        { name = "batch_id", type = "VARCHAR", description = "The batch that the record came with." },
        { name = "contract_version", type = "BIGINT", description = "The version of the contract that it breaks." },
        { name = "position", type = "BIGINT", description = "Where it stands in its file." },
        { name = "position_kind", type = "VARCHAR", description = "What position counts: bytes, or records from 0." },
        { name = "reason", type = "VARCHAR", description = "Why, in a word; superseded: it occurs again later in its file." },
        { name = "pointer", type = "VARCHAR", description = "Where in the record the first fault is: a JSON Pointer." },
        { name = "message", type = "VARCHAR", description = "The first fault in a sentence." },
        { name = "errors", type = "VARCHAR", description = "All faults: a JSON array." },
        { name = "line", type = "VARCHAR", description = "All of it as JSON, the record as it came included." },
        local.arrived,
      ]
    }
  }

  table_views = {
    for key, table in local.tables : "${key}_current" => {
      dataset     = table.dataset
      name        = "${table.name}_current"
      description = "${table.description} As it stands: from committed batches, each once, corrections applied."
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

# https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html; the text's form is Trino's (ViewReaderUtil).
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
