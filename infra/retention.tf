# The retention of objects, by the first part of their key.

locals {
  expiring = {
    ingest = {
      incoming = var.retention_days.incoming
    }
    processed = {
      staging   = var.retention_days.staging
      rejected  = var.retention_days.rejected
      processed = var.retention_days.processed
      tables    = var.retention_days.tables
      manifests = var.retention_days.manifests
      failures  = var.retention_days.failures
      queries   = var.retention_days.queries
      runs      = var.retention_days.runs
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = var.lifecycle_rules ? local.expiring : {}

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "clean-up"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    # Delete markers without older versions.
    expiration {
      expired_object_delete_marker = true
    }

    dynamic "noncurrent_version_expiration" {
      for_each = var.retention_days.replaced > 0 ? [var.retention_days.replaced] : []

      content {
        noncurrent_days = noncurrent_version_expiration.value
      }
    }
  }

  dynamic "rule" {
    for_each = { for folder, days in each.value : folder => days if days > 0 }

    content {
      id     = "expire-${rule.key}"
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = rule.value
      }

      # Objects that can be recreated don't need to be restored.
      dynamic "noncurrent_version_expiration" {
        for_each = contains(["staging", "queries"], rule.key) ? [1] : []

        content {
          noncurrent_days = noncurrent_version_expiration.value
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
