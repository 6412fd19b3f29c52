"""A run of the pipeline: upload a file, follow its execution, tell how it ended."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from functions.common import executions
from functions.common.batch import batch_id_for, failure_key, manifest_key, run_key
from functions.common.documents.document import StoredDocument
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunRecord
from functions.common.errors import DocumentError
from functions.common.executions import execution_arn
from functions.common.planning import dataset_of, version_id_of
from functions.record_failure.failure import plain_cause
from pipeline.console import files
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target, for_target
from pipeline.errors import CliError, UsageError
from pipeline.waiting import wait_for

_POLL_SECONDS = {"local": 0.25, "aws": 1.0}
_START_SECONDS = 180
"""How long S3, the starter and its retries may take before an execution is called missing."""

MANIFEST = "manifest.json"
REPORT = "report.html"
"""What the report is called beside what a run left."""


@dataclass(frozen=True)
class Upload:
    """One uploaded version and the execution that it leads to."""

    bucket: str
    key: str
    version_id: str
    dataset: str
    batch_id: str
    execution_arn: str


@dataclass(frozen=True)
class RunResult:
    """How a run ended: with a manifest, or with an error and its cause."""

    upload: Upload
    seconds: float
    """From the start of the execution to its end."""
    manifest: Manifest | None
    failure: FailureRecord | None
    """The failure record, where the execution failed and one was written."""
    error: str = ""
    cause: str = ""

    @property
    def published(self) -> bool:
        return self.manifest is not None and not self.error

    @property
    def rejects_key(self) -> str | None:
        """Where the rejects are in the processed bucket, if there are any."""
        document = self.manifest or self.failure
        return document.rejects_key if document else None

    def line(self) -> str:
        """The outcome in one line, for machines."""
        if not self.published or self.manifest is None:
            cause = " ".join(self.cause.split())
            return f"FAILED dataset={self.upload.dataset} batch={self.upload.batch_id} error={self.error} cause={cause}"
        numbers = numbers_of(self.manifest)
        return f"PUBLISHED dataset={self.upload.dataset} batch={self.upload.batch_id} {numbers}"


def numbers_of(manifest: Manifest) -> str:
    """How many records and rows a manifest tells of, for a line for machines."""
    counts = {name: getattr(manifest.counts, name) for name in ("received", "published", "rejected", "superseded")}
    rows = {name: table.rows for name, table in manifest.tables.items()}
    return " ".join(f"{name}={number}" for name, number in {**counts, **rows}.items())


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    return path.open("rb")


def upload(
    place: Target, path: Path, dataset: str, opened: Callable[[Path], AbstractContextManager[BinaryIO]] = _opened
) -> Upload:
    """Put a file, read as `opened` opens it, into the ingest bucket, under its own name."""
    bucket, key = place.outputs()["ingest_bucket"], f"incoming/{dataset}/{path.name}"
    with opened(path) as body:
        version_id = version_id_of(place.s3().put_object(Bucket=bucket, Key=key, Body=body))
    batch_id = batch_id_for(dataset_of(key), bucket, key, version_id)
    return Upload(
        bucket,
        key,
        version_id,
        dataset_of(key),
        batch_id,
        execution_arn(place.outputs()["state_machine_arn"], batch_id),
    )


def follow(place: Target, uploaded: Upload) -> Iterator[str]:
    """The states that the execution enters, as it enters them; ends when it does. Raises CliError if none starts."""
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    pause, shown = _POLL_SECONDS[place.name], 0
    if not wait_for(lambda: executions.describe(client, machine, uploaded.batch_id), _START_SECONDS, pause):
        raise CliError(
            f"No execution of {uploaded.batch_id} was started within {_START_SECONDS} seconds.",
            _after_no_start(place, uploaded),
        )
    while True:
        status = client.describe_execution(executionArn=uploaded.execution_arn)["status"]
        events = _history(place, uploaded.execution_arn)
        for event in events[shown:]:
            if name := event.get("stateEnteredEventDetails", {}).get("name"):
                yield name
        shown = len(events)
        if status != "RUNNING":
            return
        time.sleep(pause)


def _after_no_start(place: Target, uploaded: Upload) -> str:
    """What to do about a file that was uploaded and not started."""
    if place.is_temporary:
        return "Run the same again; if it stays so, try it on an emulator that stays: make local-up."
    explain = for_target(f"pipeline explain {uploaded.batch_id}", place.name)
    start = for_target(f"pipeline replay {uploaded.batch_id} --apply", place.name)
    return f"See what became of it: {explain}. If it was never started, start it: {start}."


def _history(place: Target, arn: str) -> list[dict[str, Any]]:
    pages = (
        place.step_functions()
        .get_paginator("get_execution_history")
        .paginate(executionArn=arn, includeExecutionData=False, PaginationConfig={"PageSize": 1000})
    )
    return [dict(event) for page in pages for event in page["events"]]


def outcome(place: Target, uploaded: Upload) -> RunResult:
    """How the execution of an upload ended; it must have."""
    execution = place.step_functions().describe_execution(executionArn=uploaded.execution_arn)
    seconds = (execution["stopDate"] - execution["startDate"]).total_seconds()
    manifest = read_document(place, Manifest, manifest_key(uploaded.dataset, uploaded.batch_id))
    if execution["status"] == "SUCCEEDED":
        return RunResult(uploaded, seconds, manifest, None)
    key = failure_key(uploaded.dataset, uploaded.batch_id, uploaded.batch_id)
    failure = read_document(place, FailureRecord, key)
    error = execution.get("error") or execution["status"]
    cause = plain_cause(execution.get("cause") or "The execution gave no cause.")
    if failure:
        error, cause = failure.error, failure.cause
    return RunResult(uploaded, seconds, manifest, failure, error, cause)


def await_cost(place: Target, uploaded: Upload, seconds: float) -> None:
    """Wait until the run record of an upload's first execution is there, which comes after its end, or for so long."""
    key = run_key(uploaded.dataset, uploaded.batch_id, uploaded.batch_id)
    wait_for(lambda: read_document(place, RunRecord, key), seconds, _POLL_SECONDS[place.name])


def download_outputs(place: Target, result: RunResult, folder: Path) -> None:
    """Copy what a run left into `folder`, in place of what a run before left there.

    Of a published batch a CSV and a Parquet file a table, the rejects and the manifest; of a failed one the failure
    record, and the rejects that it names.
    """
    with replacing_outputs(folder) as unfinished:
        _download(place, result, unfinished)


def _download(place: Target, result: RunResult, folder: Path) -> None:
    wanted: dict[str, str] = {}
    if result.manifest and result.published:
        wanted = {
            f"{name}.{kind}": file.key
            for name, table in result.manifest.tables.items()
            for kind, file in table.files.items()
        }
        write_json(folder / MANIFEST, result.manifest)
    if result.failure:
        write_json(folder / "failure.json", result.failure)
    if rejects := result.rejects_key:
        wanted["rejects.jsonl"] = rejects
    for name, key in wanted.items():
        place.s3().download_file(place.outputs()["processed_bucket"], key, str(folder / name))


@contextmanager
def replacing_outputs(folder: Path) -> Iterator[Path]:
    """An empty folder for what a run left; when the body ends, that replaces in `folder` what a run before left there.

    After an error `folder` is as it was. Raises CliError that names `folder` where it can't be written.
    """
    with files.filling(folder) as unfinished:
        yield unfinished
        _remove_outputs(folder)
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == MANIFEST):  # that one last
            path.replace(folder / path.name)


def _remove_outputs(folder: Path) -> None:
    """Remove what the run before left in `folder`, by its manifest, and nothing else: it may be anyone's folder.

    Raises UsageError if its `manifest.json` isn't one of ours.
    """
    names = ["rejects.jsonl", "failure.json", MANIFEST, REPORT]
    if (manifest := folder / MANIFEST).is_file():
        try:
            tables = Manifest.read(manifest.read_bytes(), str(manifest)).tables
        except DocumentError as exc:
            raise UsageError(str(exc), "Name another folder, or remove that file.") from exc
        names += [f"{table}.{kind}" for table in tables for kind in ("csv", "parquet")]
    for name in names:
        (folder / name).unlink(missing_ok=True)


def write_json(path: Path, content: StoredDocument) -> None:
    """Write a document for people to read."""
    path.write_text(json.dumps(msgspec.to_builtins(content), indent=2, ensure_ascii=False) + "\n", "utf-8")
