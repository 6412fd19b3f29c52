# The bucket of Terraform's state. Each environment has one state object, and a lock object during a deployment.

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:CloudTrail data events record access; an account enables them for all of its buckets.
  #checkov:skip=CKV_AWS_144:Versions protect against mistakes; if a region is lost, deploy again in another.
  #checkov:skip=CKV_AWS_145:SSE-S3 is enough, because the state contains no secrets.
  #checkov:skip=CKV2_AWS_62:Nothing needs notifications about a new state.
  bucket = local.bucket
  tags   = local.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

data "aws_iam_policy_document" "state" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.state_arn, "${local.state_arn}/*"]

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

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = data.aws_iam_policy_document.state.json

  # S3 accepts one of these changes to a bucket at a time, and rejects a concurrent one with a conflict.
  depends_on = [aws_s3_bucket_public_access_block.state]
}

# A replaced state can be restored for 90 days, and the last ten versions forever. The state of a throw-away deployment
# can be restored for a week after its deletion.
resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    id     = "old-states"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration {
      noncurrent_days           = 90
      newer_noncurrent_versions = 10
    }
  }

  rule {
    id     = "smoke"
    status = "Enabled"

    filter {
      prefix = "${var.project}/smoke/"
    }

    expiration {
      expired_object_delete_marker = true
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.state]
}
