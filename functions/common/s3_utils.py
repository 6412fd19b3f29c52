"""Reads and writes S3 objects with a `Storage`, which callers pass to functions, and interprets S3's errors."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from urllib3.exceptions import HTTPError

from functions.common import aws
from functions.common.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BLOCK_BYTES = 1 << 18
"""The size of a block, in bytes. Such a block fits in the CPU cache while it is split and parsed."""

_MULTIPART_BYTES = 64 << 20

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "405"})
_EMPTY = frozenset({"416", "InvalidRange"})
"""The error codes that S3 returns for a range of an empty object."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and 409 of a conditional write
_TRANSIENT = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "OperationAborted",
        "ConditionalRequestConflict",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "IncompleteBody",
        "BadDigest",  # the body was corrupted in transit
        "NoSuchUpload",  # another attempt starts a new multipart upload
        "KMSThrottling",  # from encrypted SNS topics and state machines
        "KmsThrottlingException",
    }
)
_LOST = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    FlexibleChecksumError,  # the body was corrupted in transit
    HTTPError,
)

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=64,
)
"""A stalled call is retried once within a minute, the shortest function timeout. `write` downloads 16 parts at once,
each with up to 4 connections."""


@cache
def client() -> "S3Client":
    """Return the process's S3 client, which is created on first use."""
    s3: S3Client = aws.client("s3", _CONFIG)
    return s3


aws.make_at_start(client)


def is_transient(error: ClientError) -> bool:
    """Return whether the same call may succeed later, by AWS's error code or HTTP status."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response.get("Error", {}).get("Code", "") in _TRANSIENT or status >= 500


def is_missing(error: ClientError) -> bool:
    """Return whether the object or version doesn't exist or is a delete marker."""
    return error.response.get("Error", {}).get("Code", "") in _MISSING


def is_archived(error: ClientError) -> bool:
    """Return whether the object is in an archive storage class and has not been restored."""
    return error.response.get("Error", {}).get("Code", "") == "InvalidObjectState"


def is_archived_head(head: Mapping[str, Any]) -> bool:
    """Return whether a HEAD response describes an archived object that is not restored.

    S3 Glacier Instant Retrieval doesn't count as an archive, because it returns objects immediately.
    Intelligent-Tiering sets ArchiveStatus for its archive tiers, and omits it once the object is restored.
    """
    is_restored = 'ongoing-request="false"' in head.get("Restore", "")
    return "ArchiveStatus" in head or (head.get("StorageClass") in ("GLACIER", "DEEP_ARCHIVE") and not is_restored)


@contextmanager
def transient_faults(what: str) -> Iterator[None]:
    """Raise TransientError for temporary faults of AWS. `what` names the call in the message."""
    try:
        yield
    except ClientError as exc:
        if is_transient(exc):
            code = exc.response.get("Error", {}).get("Code", "unknown")
            raise TransientError(f"{what}: AWS returned {code}.") from exc
        raise
    except _LOST as exc:
        raise TransientError(f"{what}: the connection failed ({type(exc).__name__}).") from exc


def is_large(path: Path) -> bool:
    """Return whether a file is uploaded in parts, with several threads."""
    return path.stat().st_size >= _MULTIPART_BYTES


class Storage:
    """Reads and writes S3 objects.

    Methods raise TransientError for temporary faults, and botocore's ClientError for other S3 errors.
    `pipeline.contract.folder_storage` implements the same interface with a local folder.
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def head(self, bucket: str, key: str, version_id: str | None = None) -> dict[str, Any] | None:
        """Return the response of HeadObject, or None if the object or version is missing."""
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            with transient_faults(f"HEAD s3://{bucket}/{key}"):
                return dict(self._client.head_object(Bucket=bucket, Key=key, **version))
        except ClientError as exc:
            if is_missing(exc):
                return None
            raise

    def read_beginning(
        self, bucket: str, key: str, version_id: str, n_bytes: int
    ) -> tuple[dict[str, Any], bytes] | None:
        """Return the response of `head` for an object version, and its first bytes. None if the version is missing.

        Usually takes one request. Empty and archived objects take a second request, and return no bytes.
        """
        try:
            with transient_faults(f"GET s3://{bucket}/{key}"):
                answer = self._client.get_object(
                    Bucket=bucket, Key=key, VersionId=version_id, Range=f"bytes=0-{n_bytes - 1}"
                )
                with closing(answer["Body"]) as body:
                    beginning = body.read(n_bytes)
        except ClientError as exc:
            if is_missing(exc):
                return None
            if not (is_archived(exc) or exc.response.get("Error", {}).get("Code") in _EMPTY):
                raise
            head = self.head(bucket, key, version_id)
            return None if head is None else (head, b"")
        size = answer.get("ContentRange", "").rpartition("/")[2]
        return {**answer, "ContentLength": int(size or answer["ContentLength"])}, beginning

    def read_blocks(self, bucket: str, key: str, version_id: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of an object version from offset `start` to its end, in blocks.

        A server may ignore the range and return the whole object (RFC 9110, section 14.2), as the local emulator does
        for a version. In that case, the bytes up to `start` are read and dropped. Raises ClientError (see `is_missing`)
        and TransientError.
        """
        with transient_faults(f"GET s3://{bucket}/{key}"):
            byte_range: Any = {"Range": f"bytes={start}-"} if start else {}
            response = self._client.get_object(Bucket=bucket, Key=key, VersionId=version_id, **byte_range)
            dropped = 0 if "ContentRange" in response else start
            with closing(response["Body"]) as body:
                while block := body.read(BLOCK_BYTES):
                    if kept := block[dropped:]:
                        yield kept
                    dropped = max(0, dropped - len(block))

    def get_bytes(self, bucket: str, key: str) -> bytes | None:
        """Return the content of a small object, or None if it is missing."""
        try:
            with transient_faults(f"GET s3://{bucket}/{key}"):
                return self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as exc:
            if is_missing(exc):
                return None
            raise

    def put_bytes(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> None:
        """Write a small object, replacing an existing one."""
        with transient_faults(f"PUT s3://{bucket}/{key}"):
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

    def put_new(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> bool:
        """Write an object unless it exists. Returns whether it was written; S3 returns 412 if it exists."""
        try:
            with transient_faults(f"PUT s3://{bucket}/{key}"):
                self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type, IfNoneMatch="*")
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") == "PreconditionFailed":
                return False
            raise
        return True

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Download an object to a local file, in one request, or in concurrent parts if the object is large."""
        with transient_faults(f"GET s3://{bucket}/{key}"):
            response = self._client.get_object(Bucket=bucket, Key=key)
            with closing(response["Body"]) as body:
                if response["ContentLength"] < _MULTIPART_BYTES:
                    with path.open("wb") as file:
                        shutil.copyfileobj(body, file, BLOCK_BYTES)
                    return
            self._client.download_file(bucket, key, str(path), Config=_transfer())

    def publish(self, path: Path, bucket: str, key: str, content_type: str) -> dict[str, Any]:
        """Upload a local file, and return its key, bytes and SHA-256 digest, which is also stored in its metadata."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.upload(path, bucket, key, content_type, {"sha256": digest})
        return {"key": key, "bytes": path.stat().st_size, "sha256": digest}

    def upload(
        self, path: Path, bucket: str, key: str, content_type: str, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Upload a local file, in one request, or in concurrent parts if the file is large."""
        described: Any = {"ContentType": content_type, "Metadata": dict(metadata)}
        with transient_faults(f"PUT s3://{bucket}/{key}"):
            if is_large(path):
                self._client.upload_file(str(path), bucket, key, ExtraArgs=described, Config=_transfer())
                return
            with path.open("rb") as file:  # botocore sends a file only after S3's 100-continue, but bytes immediately
                body = file if path.stat().st_size > BLOCK_BYTES else file.read()
                self._client.put_object(Bucket=bucket, Key=key, Body=body, **described)

    def list_objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the key and size in bytes of each object whose key begins with `prefix`, sorted by key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with transient_faults(f"ListObjectsV2 s3://{bucket}/{prefix}"):
            for page in pages:
                for found in page.get("Contents", []):
                    yield found["Key"], found["Size"]

    def list_versions(self, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        """Yield each object version whose key begins with `prefix`, as ListObjectVersions describes it."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        with transient_faults(f"ListObjectVersions s3://{bucket}/{prefix}"):
            for page in pages:
                yield from page.get("Versions", [])


@cache
def storage() -> Storage:
    """Return the process's storage, which is created on first use."""
    return Storage(client())


@cache
def _transfer() -> Any:
    from s3transfer.manager import TransferConfig  # see functions.common.aws

    return TransferConfig(
        multipart_threshold=_MULTIPART_BYTES,
        multipart_chunksize=16 << 20,
        max_request_concurrency=4,
        max_io_queue_size=100,
    )
