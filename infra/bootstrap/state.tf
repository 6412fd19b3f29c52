# The bucket of Terraform's state. Each environment has an object there, and a lock beside it while somebody deploys.

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:Who read and wrote what is in CloudTrail's data events, which an account turns on for all its buckets.
  #checkov:skip=CKV_AWS_144:Versions protect from mistakes; what is lost with a region is deployed anew in another.
  #checkov:skip=CKV_AWS_145:SSE-S3: the state names resources and holds no secret.
  #checkov:skip=CKV2_AWS_62:Nobody needs to be told of a new state.
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

  # S3 takes one of these changes to a bucket at a time, and answers the other with a conflict.
  depends_on = [aws_s3_bucket_public_access_block.state]
}

# A state that a mistake has replaced can be brought back for 90 days, and the last ten for ever; that of a throw-away
# deployment for a week after it is gone.
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
