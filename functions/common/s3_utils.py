"""S3 as the functions use it: `Storage`, passed to whatever reads or writes, and what its errors mean."""

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
"""What the processor's cache holds: a block is cut and read while it is there."""

_MULTIPART_BYTES = 64 << 20

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed", "405"})
_EMPTY = frozenset({"416", "InvalidRange"})
"""What S3 returns for a range of an object without bytes."""

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
        "BadDigest",  # what arrived is not what was sent
        "NoSuchUpload",  # of an upload in parts: another attempt begins a new one
        "KMSThrottling",  # of SNS and Step Functions, where what they hold is encrypted
        "KmsThrottlingException",
    }
)
_LOST = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    FlexibleChecksumError,  # what came is not what was stored
    HTTPError,
)

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=20,
    max_pool_connections=64,
)
"""A call that stalls is made once more within the time of the shortest function, a minute; `write` fetches 16 parts at
once, each in up to 4 pieces."""


@cache
def client() -> "S3Client":
    """The process's S3 client, made on first use."""
    made: S3Client = aws.client("s3", _CONFIG)
    return made


aws.make_at_start(client)


def is_transient(error: ClientError) -> bool:
    """Whether AWS says, by code or status, that the same call may succeed later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response.get("Error", {}).get("Code", "") in _TRANSIENT or status >= 500


def is_missing(error: ClientError) -> bool:
    """Whether the object, or the version, is not there (or is a delete marker)."""
    return error.response.get("Error", {}).get("Code", "") in _MISSING


def is_archived(error: ClientError) -> bool:
    """Whether S3 refuses to return the object because it is in an archive storage class and not restored."""
    return error.response.get("Error", {}).get("Code", "") == "InvalidObjectState"


def is_archived_head(head: Mapping[str, Any]) -> bool:
    """Whether a HEAD response describes an archived object that is not restored.

    S3 Glacier Instant Retrieval is no archive in this sense: it returns objects at once. Intelligent-Tiering names
    its archive tiers in ArchiveStatus, and omits it once the object is restored.
    """
    is_restored = 'ongoing-request="false"' in head.get("Restore", "")
    return "ArchiveStatus" in head or (head.get("StorageClass") in ("GLACIER", "DEEP_ARCHIVE") and not is_restored)


@contextmanager
def transient_faults(what: str) -> Iterator[None]:
    """Turn the faults of AWS that pass into TransientError; `what` says what was being done."""
    try:
        yield
    except ClientError as exc:
        if is_transient(exc):
            code = exc.response.get("Error", {}).get("Code", "unknown")
            raise TransientError(f"{what}: AWS answered {code}.") from exc
        raise
    except _LOST as exc:
        raise TransientError(f"{what}: the connection failed ({type(exc).__name__}).") from exc


def is_large(path: Path) -> bool:
    """Whether a file is uploaded in parts, by several threads of its own."""
    return path.stat().st_size >= _MULTIPART_BYTES


class Storage:
    """The objects of S3, as the steps read and write them.

    A fault that may pass raises TransientError; any other error of S3 is botocore's ClientError. A folder can take
    the place of S3: `pipeline.contract.folder_storage`.
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def head(self, bucket: str, key: str, version_id: str | None = None) -> dict[str, Any] | None:
        """HEAD of an object (version), or None where it is missing."""
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
        """What `head` returns for an object version, and its first bytes, in one request; None where it is missing.

        There are no bytes of an empty object, and of an archived one: these take another request.
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
        """The bytes of an object version from offset `start` to its end, in blocks; closed when the reader stops.

        A server may answer a range with the whole object (RFC 9110, section 14.2), as the embedded AWS does for a
        version; then the bytes before `start` are read and dropped. Raises ClientError (see `is_missing`) and
        TransientError.
        """
        with transient_faults(f"GET s3://{bucket}/{key}"):
            byte_range: Any = {"Range": f"bytes={start}-"} if start else {}
            answer = self._client.get_object(Bucket=bucket, Key=key, VersionId=version_id, **byte_range)
            dropped = 0 if "ContentRange" in answer else start
            with closing(answer["Body"]) as body:
                while block := body.read(BLOCK_BYTES):
                    if kept := block[dropped:]:
                        yield kept
                    dropped = max(0, dropped - len(block))

    def get_bytes(self, bucket: str, key: str) -> bytes | None:
        """A whole small object, or None where it is missing."""
        try:
            with transient_faults(f"GET s3://{bucket}/{key}"):
                return self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as exc:
            if is_missing(exc):
                return None
            raise

    def put_bytes(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> None:
        """Write a whole small object."""
        with transient_faults(f"PUT s3://{bucket}/{key}"):
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

    def put_new(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> bool:
        """Write an object only where none is; False where one already stands (412)."""
        try:
            with transient_faults(f"PUT s3://{bucket}/{key}"):
                self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type, IfNoneMatch="*")
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") == "PreconditionFailed":
                return False
            raise
        return True

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Copy an object to a local file: in one request, or a large one in parts, several at a time."""
        with transient_faults(f"GET s3://{bucket}/{key}"):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] < _MULTIPART_BYTES:
                    with path.open("wb") as file:
                        shutil.copyfileobj(body, file, BLOCK_BYTES)
                    return
            self._client.download_file(bucket, key, str(path), Config=_transfer())

    def publish(self, path: Path, bucket: str, key: str, content_type: str) -> dict[str, Any]:
        """Copy a local file to an object; answers its key, bytes and SHA-256, which also stands in its metadata."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.upload(path, bucket, key, content_type, {"sha256": digest})
        return {"key": key, "bytes": path.stat().st_size, "sha256": digest}

    def upload(
        self, path: Path, bucket: str, key: str, content_type: str, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Copy a local file to an object: in one request, or a large one in parts, several at a time."""
        described: Any = {"ContentType": content_type, "Metadata": dict(metadata)}
        with transient_faults(f"PUT s3://{bucket}/{key}"):
            if is_large(path):
                self._client.upload_file(str(path), bucket, key, ExtraArgs=described, Config=_transfer())
                return
            with path.open("rb") as file:  # of which botocore sends nothing until S3 asks for it, but bytes at once
                body = file if path.stat().st_size > BLOCK_BYTES else file.read()
                self._client.put_object(Bucket=bucket, Key=key, Body=body, **described)

    def list_objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and bytes of each object whose key begins with `prefix`, in the order of keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        with transient_faults(f"ListObjectsV2 s3://{bucket}/{prefix}"):
            for page in pages:
                for found in page.get("Contents", []):
                    yield found["Key"], found["Size"]

    def list_versions(self, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        """Each object version whose key begins with `prefix`, as ListObjectVersions describes it."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        with transient_faults(f"ListObjectVersions s3://{bucket}/{prefix}"):
            for page in pages:
                yield from page.get("Versions", [])


@cache
def storage() -> Storage:
    """The process's storage, made on first use."""
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
