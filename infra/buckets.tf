# Two buckets with the same protection: `ingest` for uploaded files, `processed` for everything that the pipeline
# writes. They are separate, so outputs can't be mistaken for input, and roles can be limited to one bucket.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:CloudTrail data events record access; an account enables them for all of its buckets.
  #checkov:skip=CKV_AWS_144:Versions protect against mistakes; replication to a second region doubles the cost and is the data owner's decision.
  #checkov:skip=CKV_AWS_145:SSE-S3 by default; customer_managed_key enables KMS.
  #checkov:skip=CKV2_AWS_62:ingest notifies the starter; processed needs no events, because manifests list what is published.
  for_each = local.buckets

  bucket        = each.value
  force_destroy = coalesce(var.force_destroy, var.environment != "prod")
  tags          = local.tags

  # If a bucket is not destroyed because it isn't empty, its key is kept too.
  depends_on = [aws_kms_key.this]
}

# ingest: a batch is an object version and is read by its version id. processed: an output that was deleted or replaced
# by mistake can be restored within retention_days.replaced.
resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    # A bucket key reduces the number of calls to KMS.
    bucket_key_enabled = var.customer_managed_key ? true : null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.customer_managed_key ? "aws:kms" : "AES256"
      kms_master_key_id = local.key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No ACLs: only policies control access.
resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

data "aws_iam_policy_document" "bucket" {
  for_each = local.buckets

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.arn[each.key], "${local.arn[each.key]}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = data.aws_iam_policy_document.bucket[each.key].json

  # S3 accepts one of these changes to a bucket at a time, and rejects a concurrent one with a conflict.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
