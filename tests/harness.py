"""Run the real functions on a moto S3: upload a file, run its steps as the state machine does, read the output."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar
from unittest.mock import patch

import boto3
import duckdb
from moto import mock_aws

from functions.common import executions, s3_utils, source_visibility
from functions.common.batch import Batch, Source
from functions.common.config import settings
from functions.common.documents.document import StoredDocument
from functions.common.object_versions import Planner
from functions.record_failure import index as record_failure
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from tests.environment import ENVIRONMENT, INGEST, PROCESSED, REGION

_D = TypeVar("_D", bound=StoredDocument)


@contextmanager
def buckets(monkeypatch: Any, **environment: str) -> Iterator[None]:
    """A fresh moto AWS with both buckets and the functions' environment. Clients are created again."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {**ENVIRONMENT, **environment}.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    with mock_aws(), patch.object(boto3, "DEFAULT_SESSION", _session()):
        for bucket in (INGEST, PROCESSED):
            s3_utils.client().create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        versioning = {"Status": "Enabled"}
        s3_utils.client().put_bucket_versioning(Bucket=INGEST, VersioningConfiguration=versioning)
        yield
    forget_clients()


@cache
def _session() -> boto3.Session:
    """One session for all tests, because loading the service models is slow."""
    return boto3.Session(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name=REGION)


def forget_clients() -> None:
    """Make the next call create its clients and settings from the current environment."""
    made_once = (
        settings,
        s3_utils.client,
        s3_utils.storage,
        executions.client,
        record_failure._sns,
    )
    for made in made_once:
        made.cache_clear()


def set_environment(monkeypatch: Any, **environment: str) -> None:
    """Change the functions' environment of a test that runs already."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


def let_missing_be_gone(monkeypatch: Any) -> None:
    """Treat an object that S3 does not return as deleted, as if every object were older than 15 minutes."""
    monkeypatch.setattr(source_visibility, "PROPAGATION", timedelta(0))


def upload(data: bytes, name: str = "x.jsonl", folder: str = "incoming/orders/") -> Source:
    """Upload a file to the ingest bucket."""
    key = f"{folder}{name}"
    version = s3_utils.client().put_object(Bucket=INGEST, Key=key, Body=data)["VersionId"]
    return Source(INGEST, key, version, len(data), "etag", "")


def plan(source: Source, chunk_bytes: int = 1_000_000) -> Batch:
    """The batch of an uploaded file, as the starter plans it."""
    batch = Planner(s3_utils.storage(), chunk_bytes, settings().contracts).plan(
        source.bucket, source.key, source.version_id
    )
    assert batch is not None
    return replace(batch, source=source)


def run(data: bytes, name: str = "x.jsonl", chunk_bytes: int = 1_000_000, folder: str = "incoming/orders/") -> Batch:
    """Upload a file and run all of its steps. Errors of a step are raised unchanged."""
    batch = plan(upload(data, name, folder), chunk_bytes)
    run_steps(batch)
    return batch


def run_steps(batch: Batch) -> dict[str, Any]:
    """Validate and transform every chunk, then write. Returns the result of `write`."""
    for chunk in range(batch.chunk_count):
        event = {"batch": batch.to_input(), "chunk": chunk}
        validate.handler(event)
        transform.handler(event)
    return write.handler(batch.to_input())


def get(key: str) -> bytes:
    """An object of the processed bucket."""
    data = s3_utils.storage().get_bytes(PROCESSED, key)
    assert data is not None, f"There is no {key}; there are {keys()}"
    return data


def keys(prefix: str = "") -> list[str]:
    """The keys in the processed bucket."""
    listing = boto3.client("s3").list_objects_v2(Bucket=PROCESSED, Prefix=prefix)
    return [item["Key"] for item in listing.get("Contents", [])]


def document(kind: type[_D], key: str) -> _D:
    """A document in the processed bucket, read as the pipeline reads it."""
    return kind.read(get(key), key)


def manifest(batch: Batch) -> dict[str, Any]:
    """The manifest of a batch."""
    content: dict[str, Any] = json.loads(get(batch.manifest_key))
    return content


def rejects(batch: Batch) -> list[dict[str, Any]]:
    """The rejects of a batch, or none."""
    if batch.rejected_key not in keys("rejected/"):
        return []
    return [json.loads(line) for line in get(batch.rejected_key).decode().splitlines()]


def table(batch: Batch, name: str, tmp_path: Any) -> list[dict[str, Any]]:
    """The rows of a published table, read from its Parquet."""
    path = tmp_path / f"{name}.parquet"
    path.write_bytes(get(batch.parquet_key(name)))
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{path}')")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def csv_rows(batch: Batch, name: str) -> list[dict[str, str]]:
    """The rows of a published table, read from its CSV."""
    return list(csv.DictReader(io.StringIO(get(batch.csv_key(name)).decode("utf-8"), newline="")))
