"""Runs the pipeline for the benchmark. Only this module uses the functions' names.

A step is the function that its handler calls. Local runs use a folder as storage (`pipeline.contract.folder_storage`),
so only the step's own work counts. Other runs use the endpoint in AWS_ENDPOINT_URL. A file is always one chunk.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bench.child import measure

STEPS = ("validate", "transform", "write")
FUNCTIONS = ("starter", *STEPS)

INGEST, PROCESSED = "bench-ingest", "bench-processed"
KEY = "incoming/orders/bench.jsonl"
FOLDER = "BENCH_FOLDER"
"""The environment variable that names the folder that replaces S3."""

_MACHINE = "bench"
_REGION = "eu-central-1"
_GIB = 1 << 30

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": _REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
    "INGEST_BUCKET": INGEST,
    "PROCESSED_BUCKET": PROCESSED,
    "RELEASE": "bench",
    "STATE_MACHINE_ARN": f"arn:aws:states:{_REGION}:000000000000:stateMachine:{_MACHINE}",
    "CHUNK_BYTES": str(64 * _GIB),
    "MAX_OBJECT_BYTES": str(64 * _GIB),
    "MAX_INFLATED_BYTES": str(64 * _GIB),
    "MAX_INFLATION_RATIO": "200",
    "MAX_RECORD_BYTES": str(8 << 20),
    "MAX_NESTING": "64",
    "MAX_REJECT_BYTES": str(256 << 20),
    "UNKNOWN_FIELDS": "reject",
    "MAX_REJECT_RATIO": "0.1",
}
"""The functions' settings: Terraform's defaults, except limits that would split or reject the file."""


def cold_start_script(function: str) -> str:
    """Return a program that prints the milliseconds from its first import until the function is ready."""
    clients = ["s3_utils", *(["executions"] if function == "starter" else [])]
    return "\n".join(
        [
            "import time",
            "started = time.perf_counter()",
            f"import functions.{function}.index",
            *(f"from functions.common import {module}; {module}.client()" for module in clients),
            "print((time.perf_counter() - started) * 1000)",
        ]
    )


def upload(path: Path) -> None:
    """Upload a file for the steps, and create the buckets if they are missing."""
    if FOLDER in os.environ:
        _storage().upload(path, INGEST, KEY, "application/x-ndjson")
    else:
        _make_endpoint_ready(_s3())
        _s3().upload_file(str(path), INGEST, KEY)


def step(name: str, report: Path) -> None:
    """Measure one step for the uploaded file. Earlier steps must have run."""
    batch, run = plan(), call_of(name)
    measured, _ = measure(lambda: run(batch, 0))
    rows = _rows(batch) if name == "write" else {}
    report.write_text(json.dumps({**measured, "rows": rows}))


def call_of(name: str) -> Callable[[Any, int], Any]:
    """Return a function of a batch and a chunk number that runs a step with the storage of this run."""
    from functions.common.config import settings

    storage = _storage()
    if name == "write":
        from functions.write.writer import BatchWriter

        return lambda batch, _chunk: BatchWriter(batch, storage, settings()).write()
    run = getattr(importlib.import_module(f"functions.{name}.index"), name)
    return lambda batch, chunk: run(batch, chunk, storage, settings())


def handler(name: str) -> Callable[[Any], Any]:
    """Return the handler of a function."""
    found: Callable[[Any], Any] = importlib.import_module(f"functions.{name}.index").handler
    return found


def warm(path: Path, repeats: int) -> list[dict[str, dict[str, float]]]:
    """Run a small file through all functions, as a new version each time. Return milliseconds by run and function.

    `wall` is the duration of the handler, including the endpoint's responses. `cpu` is the CPU time of this process.
    The first run, which creates clients and reads the contract, is not included.
    """
    handlers = {name: handler(name) for name in FUNCTIONS}
    runs = [_warm_run(handlers, path) for _ in range(1 + repeats)]
    return runs[1:]


def _warm_run(handlers: dict[str, Callable[[Any], Any]], path: Path) -> dict[str, dict[str, float]]:
    _s3().upload_file(str(path), INGEST, KEY)
    batch = plan()
    chunk = {"batch": batch.to_input(), "chunk": 0}
    events = {"starter": _notification(batch), "validate": chunk, "transform": chunk, "write": batch.to_input()}
    taken = {}
    for name, event in events.items():
        cpu, wall = time.process_time(), time.perf_counter()
        handlers[name](event)
        taken[name] = {"wall": (time.perf_counter() - wall) * 1000, "cpu": (time.process_time() - cpu) * 1000}
    return taken


@cache
def _storage() -> Any:
    """Return the steps' storage: the folder if the environment names one, otherwise S3."""
    if FOLDER in os.environ:
        from pipeline.contract.folder_storage import FolderStorage

        return FolderStorage(Path(os.environ[FOLDER]))
    from functions.common import s3_utils

    return s3_utils.storage()


def _s3() -> Any:
    from functions.common import s3_utils

    return s3_utils.client()


def _make_endpoint_ready(s3: Any) -> None:
    import boto3

    for bucket in (INGEST, PROCESSED):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": _REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    boto3.client("stepfunctions").create_state_machine(
        name=_MACHINE,
        definition='{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}',
        roleArn="arn:aws:iam::000000000000:role/bench",
    )


def plan() -> Any:
    """Return the batch of the uploaded file, as the starter plans it."""
    from functions.common.config import settings
    from functions.common.object_versions import Planner

    head = _storage().head(INGEST, KEY)
    assert head is not None, "the file must be uploaded first"
    planner = Planner(_storage(), settings().chunk_bytes, settings().contracts)
    batch = planner.plan(INGEST, KEY, head.get("VersionId", "1"))
    assert batch is not None, "the uploaded version must exist"
    return batch


def _rows(batch: Any) -> dict[str, int]:
    """Return the number of rows of each table from the manifest."""
    from functions.common.documents.manifest import Manifest

    manifest = Manifest.read(_storage().get_bytes(PROCESSED, batch.manifest_key) or b"", batch.manifest_key)
    return {name: table.rows for name, table in manifest.tables.items()}


def _notification(batch: Any) -> dict[str, Any]:
    """Return S3's event for the uploaded file."""
    source = batch.source
    created = {
        "key": source.key,
        "size": source.size,
        "eTag": source.etag,
        "versionId": source.version_id,
        "sequencer": "0055AED6DCD90281E5",
    }
    place = {"bucket": {"name": source.bucket}, "object": created}
    return {"Records": [{"eventName": "ObjectCreated:Put", "eventTime": batch.ingested_at, "s3": place}]}


def main(arguments: list[str]) -> None:
    """Run `upload FILE`, `step NAME REPORT` or `warm FILE REPEATS`. `warm` prints JSON in its last line."""
    match arguments:
        case ["upload", path]:
            upload(Path(path))
        case ["step", name, report]:
            step(name, Path(report))
        case ["warm", path, repeats]:
            print(json.dumps(warm(Path(path), int(repeats))))
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
