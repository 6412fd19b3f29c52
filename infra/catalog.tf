# The Glue catalog for Athena: one database per dataset, with the tables of its contract, rejects, runs and failures.
# The differences between datasets come from <contracts_dir>/<dataset>/contract.json. Partition projection derives the
# partitions from the layout of the bucket (functions/common/batch.py), so no crawler is needed.

locals {
  contracts_dir = startswith(var.contracts_dir, "/") ? var.contracts_dir : "${path.module}/${var.contracts_dir}"

  contracts = {
    for path in fileset(local.contracts_dir, "*/contract.json") :
    dirname(path) => jsondecode(file("${local.contracts_dir}/${path}"))
  }

  # One database per dataset, because two datasets may use the same table name. Athena doesn't accept dashes in names.
  databases = { for dataset in keys(local.contracts) : dataset => replace("${local.name}_${dataset}", "-", "_") }

  # The columns that functions/common/contract.py adds to every table.
  lineage = [
    { name = "batch_id", type = "VARCHAR", description = "The batch of the row, which is one version of one file." },
    { name = "ingested_at", type = "TIMESTAMP", description = "The UTC time at which the file arrived." },
  ]

  # The column that it adds to the record table if the contract keeps unknown fields.
  extra = {
    name        = "_extra"
    type        = "VARCHAR"
    description = "The fields that the contract does not know, as a JSON object from JSON Pointer to value. Null if the record has none."
  }

  # The tables of all contracts, by <dataset>.<table>.
  tables = merge([
    for dataset, contract in local.contracts : {
      for table in contract.tables : "${dataset}.${table.name}" => {
        dataset     = dataset
        name        = table.name
        description = try(table.description, "")
        key         = table.key
        latest_by   = try(table.latest_by, [])
        references  = [for reference in try(table.references, []) : reference if reference.table != table.name]
        is_record   = table.name == contract.record_table
        columns = [
          for column in concat(
            table.columns,
            table.name == contract.record_table && try(contract.input.unknown_fields, "") == "keep" ? [local.extra] : [],
            local.lineage,
          ) :
          { name = column.name, type = column.type, description = try(column.description, "") }
        ]
      }
    }
  ]...)

  # Glue's names for a contract's types, if they differ in more than case.
  glue_type = { VARCHAR = "string", INTEGER = "int" }
}

resource "aws_glue_catalog_database" "this" {
  for_each = local.databases

  name        = each.value
  description = substr("${try(local.contracts[each.key].description, each.key)} Query the views *_current.", 0, 2048)
  tags        = local.tags
}

locals {
  text = {
    input  = "org.apache.hadoop.mapred.TextInputFormat"
    output = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
  }

  # The file formats. JSON: one object per line. Lines: a single column, because the separator never occurs in a line.
  formats = {
    parquet = {
      input      = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
      output     = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
      serde      = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
      parameters = {}
    }
    json = merge(local.text, {
      serde      = "org.apache.hive.hcatalog.data.JsonSerDe"
      parameters = {}
    })
    lines = merge(local.text, {
      serde      = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
      parameters = { "field.delim" = "\u0001", "serialization.format" = "\u0001" }
    })
  }

  source_type = "struct<bucket:string,key:string,version_id:string,size:bigint,etag:string,sequencer:string,corrects:string>"
  output_type = "struct<key:string,bytes:bigint,sha256:string>"

  # The members of a manifest (functions/common/documents/manifest.py).
  run_columns = [
    ["manifest_version", "bigint", "The version of the manifest's format."],
    ["dataset", "string", "The dataset."],
    ["batch_id", "string", "The batch id, for one version of one file in one revision."],
    ["revision", "bigint", "The revision, from 1. It increases each time the batch is published again. The highest revision is current."],
    ["contract_version", "bigint", "The contract version of the published tables."],
    ["release", "string", "The release that published the batch."],
    ["source", local.source_type, "The source object version; size is in bytes."],
    ["ingested_at", "string", "When the file arrived: ISO 8601, UTC."],
    ["ingest_date", "string", "The date of ingested_at, which is the partition of the batch's rows."],
    ["counts", "struct<received:bigint,valid:bigint,rejected:bigint,superseded:bigint,published:bigint>", "The number of records by outcome: received = valid + rejected, and valid = superseded + published."],
    ["bytes", "struct<received:bigint,unreadable:bigint>", "The size of all records in bytes, and the number of bytes that could not be read as records."],
    ["rejected_by_reason", "map<string,bigint>", "The number of rejected records by reason."],
    ["records_by_version", "map<string,struct<valid:bigint,rejected:bigint>>", "The number of valid and rejected records by contract version. unknown counts unreadable records and records without a known version."],
    ["drift", "array<struct<contract_version:bigint,field:string,records:bigint,dropped:boolean,in_envelope:boolean,kept:boolean>>", "Fields that the contract does not define, with the number of records that had them. in_envelope marks members of envelopes, kept marks fields in _extra."],
    ["control_totals", "map<string,struct<validated:string,superseded:string,published:string>>", "Exact sums: validated = superseded + published."],
    ["tables", "map<string,struct<rows:bigint,parquet:${local.output_type},csv:${local.output_type}>>", "The number of rows and the two files of each table."],
    ["rejects", local.output_type, "The rejects file, or null."],
  ]

  # The members of a failure record (functions/common/documents/failure_record.py).
  failure_columns = [
    ["failure_version", "bigint", "The version of the record's format."],
    ["dataset", "string", "The dataset."],
    ["batch_id", "string", "The batch that failed."],
    ["execution", "string", "The execution that failed. A batch may fail more than once."],
    ["status", "string", "FAILED, TIMED_OUT or ABORTED."],
    ["error", "string", "The name of the error."],
    ["cause", "string", "A sentence that describes the cause."],
    ["next_step", "string", "The recommended action."],
    ["remedy", "string", "The next step as a code: replay, fix_and_replay, upload, upload_or_replay, investigate or nothing."],
    ["published", "boolean", "Whether the batch is published, because the failure occurred after the commit."],
    ["rejects", "string", "The S3 URI of the rejects file, or null."],
    ["notified_by", "string", "The sender of the notification, or null if unknown."],
    ["source", local.source_type, "The source object version; size is in bytes."],
    ["ingested_at", "string", "When the file arrived: ISO 8601, UTC."],
  ]

  # All tables over files in the bucket: the prefix, and the partition columns.
  external = merge(
    {
      for key, table in local.tables : key => {
        dataset     = table.dataset
        name        = table.name
        description = "${table.description} This table has the rows of every batch and revision, including batches that are not committed. Query ${table.name}_current instead, or join runs_current by batch_id."
        folder      = "tables/${table.dataset}/${table.name}"
        format      = "parquet"
        partitioned = true
        columns = [
          for column in table.columns :
          [column.name, lookup(local.glue_type, column.type, lower(column.type)), column.description]
        ]
      }
    },
    {
      for dataset in keys(local.contracts) : "${dataset}.rejected_lines" => {
        dataset     = dataset
        name        = "rejected_lines"
        description = "The unparsed lines of the rejects files. Query rejects instead."
        folder      = "rejected/${dataset}"
        format      = "lines"
        partitioned = true
        columns     = [["line", "string", "One record that was not published, with its position and the reasons, as JSON."]]
      }
    },
    {
      for dataset in keys(local.contracts) : "${dataset}.runs" => {
        dataset     = dataset
        name        = "runs"
        description = "The manifests, with one row per published batch and revision. runs_current has only the current revisions."
        folder      = "manifests/${dataset}"
        format      = "json"
        partitioned = false
        columns     = local.run_columns
      }
    },
    {
      for dataset in keys(local.contracts) : "${dataset}.failures" => {
        dataset     = dataset
        name        = "failures"
        description = "The failure records, with one row per failed execution."
        folder      = "failures/${dataset}"
        format      = "json"
        partitioned = false
        columns     = local.failure_columns
      }
    },
  )

  location = { for key, table in local.external : key => "s3://${local.buckets.processed}/${table.folder}/" }

  # https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
  projection = {
    "projection.enabled"                   = "true"
    "projection.ingest_date.type"          = "date"
    "projection.ingest_date.format"        = "yyyy-MM-dd"
    "projection.ingest_date.range"         = "${var.first_ingest_date},NOW"
    "projection.ingest_date.interval"      = "1"
    "projection.ingest_date.interval.unit" = "DAYS"
  }
}

resource "aws_glue_catalog_table" "external" {
  for_each = local.external

  name          = each.value.name
  database_name = aws_glue_catalog_database.this[each.value.dataset].name
  description   = substr(each.value.description, 0, 2048)
  table_type    = "EXTERNAL_TABLE"

  parameters = merge({ EXTERNAL = "TRUE" }, each.value.partitioned ? merge(local.projection, {
    "storage.location.template" = "${local.location[each.key]}ingest_date=$${ingest_date}/"
  }) : {})

  dynamic "partition_keys" {
    for_each = each.value.partitioned ? ["ingest_date"] : []

    content {
      name    = partition_keys.value
      type    = "string"
      comment = "The date on which the file arrived, such as 2026-01-31. A query that filters by it reads only the files of those days."
    }
  }

  storage_descriptor {
    location      = local.location[each.key]
    input_format  = local.formats[each.value.format].input
    output_format = local.formats[each.value.format].output

    ser_de_info {
      serialization_library = local.formats[each.value.format].serde
      parameters            = local.formats[each.value.format].parameters
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value[0]
        type    = columns.value[1]
        comment = substr(columns.value[2], 0, 255)
      }
    }
  }
}
