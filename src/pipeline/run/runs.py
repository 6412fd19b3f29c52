"""Uploads a file, follows its execution and returns the outcome."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from functions.common import executions
from functions.common.batch import batch_id_for, failure_key, manifest_key, run_key
from functions.common.causes import plain_cause
from functions.common.documents.document import StoredDocument
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunRecord
from functions.common.errors import DocumentError
from functions.common.executions import execution_arn
from functions.common.planning import dataset_of, version_id_of
from pipeline import console as show
from pipeline.console import files
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target, for_target
from pipeline.errors import CliError, UsageError
from pipeline.waiting import wait_for

_POLL_SECONDS = {"local": 0.25, "aws": 1.0}
_START_SECONDS = 180
"""The maximum time in seconds for S3 and the starter, with its retries, to start an execution."""

MANIFEST = "manifest.json"
REPORT = "report.html"


@dataclass(frozen=True)
class Upload:
    """An uploaded object version and its execution."""

    bucket: str
    key: str
    version_id: str
    dataset: str
    batch_id: str
    execution_arn: str


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run: a manifest, or an error and its cause."""

    upload: Upload
    seconds: float
    """The duration of the execution in seconds."""
    manifest: Manifest | None
    failure: FailureRecord | None
    """The failure record of a failed execution, or None if it was not written."""
    error: str = ""
    cause: str = ""

    @property
    def published(self) -> bool:
        return self.manifest is not None and not self.error

    @property
    def rejects_key(self) -> str | None:
        """The key of the rejects in the processed bucket, or None without rejects."""
        document = self.manifest or self.failure
        return document.rejects_key if document else None

    def line(self) -> str:
        """Return the outcome as one line for scripts."""
        if not self.published or self.manifest is None:
            cause = " ".join(self.cause.split())
            return f"FAILED dataset={self.upload.dataset} batch={self.upload.batch_id} error={self.error} cause={cause}"
        numbers = numbers_of(self.manifest)
        return f"PUBLISHED dataset={self.upload.dataset} batch={self.upload.batch_id} {numbers}"


def numbers_of(manifest: Manifest) -> str:
    """Return the record and row counts of a manifest as one line for scripts."""
    counts = {name: getattr(manifest.counts, name) for name in ("received", "published", "rejected", "superseded")}
    rows = {name: table.rows for name, table in manifest.tables.items()}
    return " ".join(f"{name}={number}" for name, number in {**counts, **rows}.items())


def upload(place: Target, path: Path, dataset: str) -> Upload:
    """Upload a file to the ingest bucket under its own name. A terminal shows progress."""
    bucket, key = place.outputs()["ingest_bucket"], f"incoming/{dataset}/{path.name}"
    with show.reading(path) as body:
        version_id = version_id_of(place.s3().put_object(Bucket=bucket, Key=key, Body=body))
    batch_id = batch_id_for(dataset_of(key), bucket, key, version_id)
    arn = execution_arn(place.outputs()["state_machine_arn"], batch_id)
    return Upload(bucket, key, version_id, dataset_of(key), batch_id, arn)


def follow(place: Target, uploaded: Upload) -> Iterator[str]:
    """Yield the name of each state that the execution enters, until it ends. Raises CliError if no execution starts."""
    client, machine = place.step_functions(), place.outputs()["state_machine_arn"]
    pause, shown = _POLL_SECONDS[place.name], 0
    if not wait_for(lambda: executions.describe(client, machine, uploaded.batch_id), _START_SECONDS, pause):
        raise CliError(
            f"No execution of {uploaded.batch_id} started within {_START_SECONDS} seconds.",
            _after_no_start(place, uploaded),
        )
    while True:
        status = client.describe_execution(executionArn=uploaded.execution_arn)["status"]
        events = list(executions.history(client, uploaded.execution_arn))
        for event in events[shown:]:
            if name := event.get("stateEnteredEventDetails", {}).get("name"):
                yield name
        shown = len(events)
        if status != "RUNNING":
            return
        time.sleep(pause)


def _after_no_start(place: Target, uploaded: Upload) -> str:
    """Return the next step for an uploaded file that has no execution."""
    if place.is_temporary:
        return "Run the command again. If the error persists, use a permanent emulator: make local-up."
    explain = for_target(f"pipeline explain {uploaded.batch_id}", place.name)
    start = for_target(f"pipeline replay {uploaded.batch_id} --apply", place.name)
    return f"Check what happened to the file: {explain}. If it has no execution, start one: {start}."


def outcome(place: Target, uploaded: Upload) -> RunResult:
    """Return the outcome of an upload whose execution has ended."""
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
    """Wait up to `seconds` for the run record of the upload's first execution. It is written after the execution."""
    key = run_key(uploaded.dataset, uploaded.batch_id, uploaded.batch_id)
    wait_for(lambda: read_document(place, RunRecord, key), seconds, _POLL_SECONDS[place.name])


def download_outputs(place: Target, result: RunResult, folder: Path) -> None:
    """Download the outputs of a run to `folder`, and remove the outputs of an earlier run.

    A published batch has a CSV and a Parquet file per table, the rejects and the manifest. A failed batch has the
    failure record and the rejects.
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
    """Yield an empty folder. When the block ends, its files replace the outputs of an earlier run in `folder`.

    After an error, `folder` is unchanged. Raises CliError if `folder` can't be written.
    """
    with files.filling(folder) as unfinished:
        yield unfinished
        _remove_outputs(folder)
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == MANIFEST):  # the manifest last
            path.replace(folder / path.name)


def _remove_outputs(folder: Path) -> None:
    """Remove only the outputs of an earlier run from `folder`. The manifest there names its tables.

    Raises UsageError if `manifest.json` isn't a manifest of the pipeline.
    """
    names = ["rejects.jsonl", "failure.json", MANIFEST, REPORT]
    if (manifest := folder / MANIFEST).is_file():
        try:
            tables = Manifest.read(manifest.read_bytes(), str(manifest)).tables
        except DocumentError as exc:
            raise UsageError(str(exc), "Choose another folder, or remove that file.") from exc
        names += [f"{table}.{kind}" for table in tables for kind in ("csv", "parquet")]
    for name in names:
        (folder / name).unlink(missing_ok=True)


def write_json(path: Path, content: StoredDocument) -> None:
    """Write a document to a file as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
