# What Athena knows: a database a feed, with the tables of its contract, its rejects, runs and failures; everything that
# is the feed's own comes from <contracts_dir>/<dataset>/contract.json. Partitions are projected from the layout of the bucket
# (functions/common/batch.py), so nothing crawls and nobody adds them.

locals {
  contracts_dir = startswith(var.contracts_dir, "/") ? var.contracts_dir : "${path.module}/${var.contracts_dir}"

  contracts = {
    for path in fileset(local.contracts_dir, "*/contract.json") :
    dirname(path) => jsondecode(file("${local.contracts_dir}/${path}"))
  }

  # One for each feed, so that two feeds may call a table alike. Athena takes no dash in a name.
  databases = { for dataset in keys(local.contracts) : dataset => replace("${local.name}_${dataset}", "-", "_") }

  # The columns that functions/common/contract.py adds to every table.
  lineage = [
    { name = "batch_id", type = "VARCHAR", description = "The batch that the row came with: one version of one file." },
    { name = "ingested_at", type = "TIMESTAMP", description = "When that file arrived, UTC." },
  ]

  # The column that it adds to the record table of a contract that keeps unknown fields.
  extra = {
    name        = "_extra"
    type        = "VARCHAR"
    description = "The fields that the contract does not know, as a JSON object from JSON Pointer to value; null where a record has none."
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

  # A contract's type in Glue, where it is called otherwise than in small letters.
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

  # How files are read. JSON: one object a line. Lines: each as it is, since it has no sign that separates columns.
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

  # What functions/write/manifest.py puts into a manifest.
  run_columns = [
    ["manifest_version", "bigint", "The version of the manifest's form."],
    ["dataset", "string", "The feed."],
    ["batch_id", "string", "The batch: one version of one file, in one revision."],
    ["revision", "bigint", "1, and higher where the batch was published anew; the highest counts."],
    ["contract_version", "bigint", "The current version of the contract, which the tables are made of."],
    ["release", "string", "The release that published it."],
    ["source", local.source_type, "The object version that came in; size is in bytes."],
    ["ingested_at", "string", "When the file arrived: ISO 8601, UTC."],
    ["ingest_date", "string", "The date of that: the partition of the batch's rows."],
    ["counts", "struct<received:bigint,valid:bigint,rejected:bigint,superseded:bigint,published:bigint>", "received = valid + rejected; valid = superseded + published."],
    ["bytes", "struct<received:bigint,unreadable:bigint>", "Bytes of all records, and of those that could not be read as records."],
    ["rejected_by_reason", "map<string,bigint>", "How many records were rejected for which reason."],
    ["records_by_version", "map<string,struct<valid:bigint,rejected:bigint>>", "Of each version of the contract how many records were valid and rejected; unknown: those that name none of them, or can not be read."],
    ["drift", "array<struct<contract_version:bigint,field:string,records:bigint,dropped:boolean>>", "The fields that the contract does not know, and how many records had them."],
    ["control_totals", "map<string,struct<validated:string,superseded:string,published:string>>", "Exact sums; validated = superseded + published."],
    ["tables", "map<string,struct<rows:bigint,parquet:${local.output_type},csv:${local.output_type}>>", "Of each table the rows and its two files."],
    ["rejects", local.output_type, "The file of the rejects, or null."],
  ]

  # What functions/record_failure/failure.py puts into a failure record.
  failure_columns = [
    ["failure_version", "bigint", "The version of the record's form."],
    ["dataset", "string", "The feed."],
    ["batch_id", "string", "The batch that failed."],
    ["execution", "string", "The execution that failed; a batch may fail more than once."],
    ["status", "string", "FAILED, TIMED_OUT or ABORTED."],
    ["error", "string", "The name of the error."],
    ["cause", "string", "What happened, in a sentence."],
    ["next_step", "string", "What to do."],
    ["remedy", "string", "The same in one word: replay, fix_and_replay, upload, upload_or_replay, investigate or nothing."],
    ["published", "boolean", "Whether the batch is published all the same: what failed came after that."],
    ["rejects", "string", "Where the rejected records are, or null."],
    ["notified_by", "string", "Who sent the notice, or null where that is not known."],
    ["source", local.source_type, "The object version that came in; size is in bytes."],
    ["ingested_at", "string", "When the file arrived: ISO 8601, UTC."],
  ]

  # Everything that lies in the bucket as files: <folder>/ there, and by what it is partitioned.
  external = merge(
    {
      for key, table in local.tables : key => {
        dataset     = table.dataset
        name        = table.name
        description = "${table.description} As the files lie there: rows of every batch and revision, also of batches that are not committed. Query ${table.name}_current, or join runs_current by batch_id."
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
        description = "The files of rejects, line by line as they are. Query rejects."
        folder      = "rejected/${dataset}"
        format      = "lines"
        partitioned = true
        columns     = [["line", "string", "One record that was not published, with its place and the reasons: JSON."]]
      }
    },
    {
      for dataset in keys(local.contracts) : "${dataset}.runs" => {
        dataset     = dataset
        name        = "runs"
        description = "The manifests: a row for each batch that is published, in each revision. runs_current has those that count."
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
        description = "The failure records: a row for each execution that failed."
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
      comment = "The date on which the file arrived, as 2026-01-31: a query that names it reads only those days."
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
