"""The S3 calls on moto, and which faults of AWS are transient and which are permanent."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.stub import Stubber
from s3transfer.exceptions import RetriesExceededError
from s3transfer.futures import TransferFuture
from urllib3.exceptions import ProtocolError

from functions.common import s3_utils
from functions.common.errors import TransientError
from tests.harness import INGEST, PROCESSED

on_moto = pytest.mark.usefixtures("aws")

DATA = bytes(range(256)) * 10


def put(key: str, data: bytes = DATA, bucket: str = INGEST) -> str:
    """Write an object with boto3 itself. Returns its version."""
    version: str = s3_utils.client().put_object(Bucket=bucket, Key=key, Body=data).get("VersionId", "")
    return version


def read(key: str, version: str, start: int = 0) -> bytes:
    return b"".join(s3_utils.storage().read_blocks(INGEST, key, version, start))


class Body:
    """The body of a response: its blocks, or an error instead of a block."""

    def __init__(self, blocks: list[bytes | Exception]) -> None:
        self.blocks: Iterator[bytes | Exception] = iter(blocks)
        self.closed = False

    def read(self, _size: int = 0) -> bytes:
        block = next(self.blocks, b"")
        if isinstance(block, Exception):
            raise block
        return block

    def close(self) -> None:
        self.closed = True


@contextmanager
def instead(**operations: Any) -> Iterator[None]:
    """Replace the client with one that has only these operations."""
    client: Any = SimpleNamespace(**operations)
    with patch.object(s3_utils, "storage", lambda: s3_utils.Storage(client)):
        yield


# --- what each does ---------------------------------------------------------------------------------------------------


@on_moto
@pytest.mark.parametrize("key", ["a", "a b+c%20d", "é 日本 😀", "../x", "/a//b", "a?b#c&d=e", "x" * 1024])
def test_keys_of_all_kinds_are_used_unchanged(key: str, tmp_path: Path) -> None:
    version = put(key)
    found = s3_utils.storage().head(INGEST, key, version)
    assert found is not None
    assert (found["ContentLength"], read(key, version)) == (len(DATA), DATA)
    s3_utils.storage().put_bytes(PROCESSED, key, b"1")
    assert s3_utils.storage().get_bytes(PROCESSED, key) == b"1"
    s3_utils.storage().download(PROCESSED, key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"1"


@on_moto
def test_head_of_an_object_and_of_a_version() -> None:
    first, second = put("a", b"1"), put("a", b"22")
    for version, size in ((first, 1), (second, 2), (None, 2)):
        found = s3_utils.storage().head(INGEST, "a", version)
        assert found is not None
        assert found["ContentLength"] == size


@on_moto
def test_a_version_is_read_even_when_it_is_not_the_latest() -> None:
    first, second = put("a", b"first"), put("a", b"second")
    s3_utils.client().delete_object(Bucket=INGEST, Key="a")
    assert (read("a", first), read("a", second)) == (b"first", b"second")


@on_moto
@pytest.mark.parametrize("start", [0, 1, 1000, len(DATA) - 1])
@pytest.mark.parametrize("block_bytes", [1 << 20, 100, 1])
def test_blocks_begin_at_the_start_and_have_their_size(
    start: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = put("a")
    monkeypatch.setattr(s3_utils, "BLOCK_BYTES", block_bytes)
    blocks = list(s3_utils.storage().read_blocks(INGEST, "a", version, start))
    assert b"".join(blocks) == DATA[start:]
    assert {len(block) for block in blocks[:-1]} <= {block_bytes}


@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 19, 20])
def test_a_server_that_ignores_the_range_is_supported(start: int) -> None:
    body = Body([b"01234567", b"89abcdef", b"ghij"])
    with instead(get_object=lambda **_: {"Body": body}):
        found = read("a", "v", start)
    assert found == b"0123456789abcdefghij"[start:]
    assert body.closed


def test_the_connection_is_closed_when_the_reader_stops_early() -> None:
    body = Body([b"1", b"2", b"3"])
    with instead(get_object=lambda **_: {"Body": body}):
        blocks = s3_utils.storage().read_blocks(INGEST, "a", "v")
        assert next(blocks) == b"1"
        blocks.close()  # type: ignore[attr-defined]
    assert body.closed


@on_moto
def test_a_missing_object_is_returned_as_none_or_raises() -> None:
    version = put("a")
    s3_utils.client().delete_object(Bucket=INGEST, Key="a", VersionId=version)
    assert s3_utils.storage().head(INGEST, "a", version) is None
    assert s3_utils.storage().head(INGEST, "never") is None
    assert s3_utils.storage().get_bytes(INGEST, "never") is None
    for key in ("a", "never"):
        with pytest.raises(ClientError) as caught:
            read(key, version)
        assert s3_utils.is_missing(caught.value)


@on_moto
def test_a_delete_marker_counts_as_a_missing_object() -> None:
    put("a")
    marker = s3_utils.client().delete_object(Bucket=INGEST, Key="a")["VersionId"]
    assert s3_utils.storage().head(INGEST, "a") is None
    assert s3_utils.storage().head(INGEST, "a", marker) is None
    with pytest.raises(ClientError) as caught:
        read("a", marker)
    assert s3_utils.is_missing(caught.value)


@on_moto
def test_put_new_writes_once() -> None:
    assert s3_utils.storage().put_new(PROCESSED, "a", b"first") is True
    assert s3_utils.storage().put_new(PROCESSED, "a", b"second") is False
    assert s3_utils.storage().get_bytes(PROCESSED, "a") == b"first"


@on_moto
def test_publish_returns_size_and_digest_and_stores_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    digest = hashlib.sha256(DATA).hexdigest()
    assert s3_utils.storage().publish(path, PROCESSED, "a", "text/csv") == {
        "key": "a",
        "bytes": len(DATA),
        "sha256": digest,
    }
    found = s3_utils.storage().head(PROCESSED, "a")
    assert found is not None
    assert (found["Metadata"], found["ContentType"]) == ({"sha256": digest}, "text/csv")


@on_moto
def test_content_types() -> None:
    s3_utils.storage().put_bytes(PROCESSED, "a", b"{}")
    s3_utils.storage().put_new(PROCESSED, "b", b"x", content_type="text/plain")
    types = [s3_utils.client().head_object(Bucket=PROCESSED, Key=key)["ContentType"] for key in "ab"]
    assert types == ["application/json", "text/plain"]


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    return path


CALLS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "head": ("head_object", lambda _: s3_utils.storage().head("b", "k")),
    "read_blocks": ("get_object", lambda _: list(s3_utils.storage().read_blocks("b", "k", "v"))),
    "get_bytes": ("get_object", lambda _: s3_utils.storage().get_bytes("b", "k")),
    "put_bytes": ("put_object", lambda _: s3_utils.storage().put_bytes("b", "k", b"")),
    "put_new": ("put_object", lambda _: s3_utils.storage().put_new("b", "k", b"")),
    "download": ("get_object", lambda file: s3_utils.storage().download("b", "k", file)),
    "upload": ("put_object", lambda file: s3_utils.storage().upload(file, "b", "k", "text/plain")),
}
each_call = pytest.mark.parametrize("call", CALLS)


CallWithError = Callable[[str, str, int], Any]


@pytest.fixture(scope="module")
def client() -> Any:
    return boto3.client("s3", "eu-central-1", aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def call_with_error(client: Any, file: Path) -> CallWithError:
    """Make a call for which AWS returns an error."""

    def make(call: str, code: str, status: int) -> Any:
        operation, function = CALLS[call]
        with patch.object(s3_utils, "storage", lambda: s3_utils.Storage(client)), Stubber(client) as stubber:
            stubber.add_client_error(operation, service_error_code=code, http_status_code=status)
            return function(file)

    return make


@each_call
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("SlowDown", 503),
        ("503", 503),
        ("InternalError", 500),
        ("ServiceUnavailable", 503),
        ("BadGateway", 502),
        ("RequestTimeout", 400),
        ("RequestTimeTooSkewed", 403),
        ("OperationAborted", 409),
        ("ConditionalRequestConflict", 409),
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("TooManyRequestsException", 429),
        ("RequestLimitExceeded", 400),
        ("IncompleteBody", 400),
        ("BadDigest", 400),
        ("NoSuchUpload", 404),
        ("KMSThrottling", 400),
        ("KmsThrottlingException", 400),
    ],
)
def test_a_temporary_fault_is_a_transient_error(
    call: str, code: str, status: int, call_with_error: CallWithError
) -> None:
    with pytest.raises(TransientError, match=rf"^[A-Z]+ s3://b/k: AWS returned {code}\.$") as caught:
        call_with_error(call, code, status)
    assert caught.value.__cause__ is not None


@each_call
@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404), ("InvalidRequest", 400)])
def test_any_other_error_is_raised_unchanged(call: str, code: str, status: int, call_with_error: CallWithError) -> None:
    with pytest.raises(Exception, match=code) as caught:
        call_with_error(call, code, status)
    assert not isinstance(caught.value, TransientError)


@pytest.mark.parametrize("call", ["head", "get_bytes"])
@pytest.mark.parametrize("code", ["404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"])
def test_a_missing_object_is_none(call: str, code: str, call_with_error: CallWithError) -> None:
    assert call_with_error(call, code, 405 if code == "MethodNotAllowed" else 404) is None


def test_only_412_means_that_an_object_exists(call_with_error: CallWithError) -> None:
    assert call_with_error("put_new", "PreconditionFailed", 412) is False
    with pytest.raises(ClientError, match="PreconditionFailed"):
        call_with_error("put_bytes", "PreconditionFailed", 412)


LOST = [
    EndpointConnectionError(endpoint_url="https://s3"),
    ConnectTimeoutError(endpoint_url="https://s3"),
    ReadTimeoutError(endpoint_url="https://s3"),
    ResponseStreamingError(error="reset"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    FlexibleChecksumError(error_msg="other bytes"),
    ProtocolError("reset"),
]


@each_call
@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_lost_connection_is_transient(call: str, error: Exception, file: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    operation, function = CALLS[call]
    message = rf"s3://b/k: the connection failed \({type(error).__name__}\)"
    with (
        instead(**dict.fromkeys((operation, "download_file", "upload_file"), fail)),
        pytest.raises(TransientError, match=message),
    ):
        function(file)


@pytest.mark.parametrize("error", LOST[2:], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", ["read_blocks", "get_bytes"])
def test_a_connection_lost_in_the_middle_is_transient(call: str, error: Exception, file: Path) -> None:
    body = Body([error] if call == "get_bytes" else [b"first", error])
    with instead(get_object=lambda **_: {"Body": body}), pytest.raises(TransientError):
        CALLS[call][1](file)


def test_missing_credentials_are_not_a_transient_error() -> None:
    with pytest.raises(NoCredentialsError), s3_utils.transient_faults("x"):
        raise NoCredentialsError


@on_moto
def test_an_error_of_the_reader_is_not_treated_as_an_s3_error() -> None:
    blocks = s3_utils.storage().read_blocks(INGEST, "a", put("a"))
    with pytest.raises(ZeroDivisionError):
        b"".join(1 // 0 for _ in blocks)  # type: ignore[misc]


@on_moto
def test_a_large_object_whose_parts_never_come_is_a_transient_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3transfer requests a part five times, and then raises its own error."""
    monkeypatch.setattr(s3_utils, "_MULTIPART_BYTES", 1)
    lost = RetriesExceededError(IncompleteReadError(actual_bytes=1, expected_bytes=2))
    monkeypatch.setattr(TransferFuture, "result", Mock(side_effect=lost))
    put("large", bucket=PROCESSED)
    with pytest.raises(TransientError, match=r"GET s3://.*/large: the connection failed \(IncompleteReadError\)\.$"):
        s3_utils.storage().download(PROCESSED, "large", tmp_path / "copy")


@on_moto
def test_a_large_object_is_uploaded_and_read_back_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_utils, "_MULTIPART_BYTES", 6 << 20)
    s3_utils._transfer.cache_clear()
    path, data = tmp_path / "file", DATA * 4000
    path.write_bytes(data)
    s3_utils.storage().upload(path, PROCESSED, "large", "text/plain", {"sha256": "x"})
    found = s3_utils.storage().head(PROCESSED, "large")
    assert found is not None
    assert (found["ContentLength"], found["Metadata"], "-" in found["ETag"]) == (len(data), {"sha256": "x"}, True)
    s3_utils.storage().download(PROCESSED, "large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    s3_utils._transfer.cache_clear()
