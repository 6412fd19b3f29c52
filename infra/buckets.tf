# Two buckets: what people send in, and all that the pipeline makes of it. Apart, so that no output can ever be
# taken for an input, and each function's role ends at a bucket's border. Both are protected alike.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Who read and wrote what is in CloudTrail's data events, which an account turns on for all its buckets.
  #checkov:skip=CKV_AWS_144:Versions protect from mistakes; a second region is a decision of who owns the data, and doubles its cost.
  #checkov:skip=CKV_AWS_145:SSE-S3 by default; customer_managed_key turns KMS on.
  #checkov:skip=CKV2_AWS_62:ingest tells the starter; of processed nobody needs events, since a manifest says what is published.
  for_each = local.buckets

  bucket        = each.value
  force_destroy = coalesce(var.force_destroy, var.environment != "prod")
  tags          = local.tags

  # On destroy a bucket that is kept for its contents keeps the key that these need.
  depends_on = [aws_kms_key.this]
}

# ingest: a batch is a version, and is read by its version. processed: an output deleted or replaced by mistake can
# be brought back for as long as retention_days.replaced says.
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
    # A bucket key: one call to KMS for many objects.
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

# No ACLs: policies alone decide.
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

  # S3 takes one of these changes to a bucket at a time, and answers the other with a conflict.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
