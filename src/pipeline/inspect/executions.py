"""Returns executions with their outcomes, and their console addresses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from msgspec import structs

from functions.common import executions
from functions.common.batch import failure_key, is_batch_id, manifest_key, replay_of, run_key
from functions.common.batch_state import BatchState, is_gone, state_without_record
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunRecord
from functions.common.parallel import at_once
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.inspect.outcome import Outcome, outcome_of
from pipeline.recover import restarts

_PARALLEL = 8


@dataclass(frozen=True)
class Run:
    """An execution with its cost and, if it published its batch, the batch's counts."""

    name: str
    batch_id: str
    key: str
    """The key of the source. Empty if unknown."""
    status: str
    """The status in Step Functions."""
    outcome: Outcome
    """The outcome as in `explain`, except that a failed execution stays failed if a later one published the batch."""
    started: datetime
    stopped: datetime | None
    counts: dict[str, int]
    """The record counts of the manifest. Empty unless the execution published its batch."""
    error: str
    """The error class. Also set for a published batch if a later step failed."""
    usd: str
    """The cost in USD from the run record. Empty until the record is written, seconds after the end."""

    @property
    def seconds(self) -> float:
        """The duration in seconds, until now for a running execution."""
        return ((self.stopped or datetime.now(UTC)) - self.started).total_seconds()


def recent_runs(place: Target, limit: int) -> list[Run]:
    """Return the latest executions, newest first. Makes one request for the list, and two or three per execution."""
    arn = place.outputs()["state_machine_arn"]
    listed = place.step_functions().list_executions(stateMachineArn=arn, maxResults=limit)["executions"]
    return runs_of(place, [dict(one) for one in listed])


def runs_of(place: Target, listed: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Return executions from ListExecutions with the contents of their records, in the same order."""
    place.s3()  # created before the threads, since boto3 isn't thread-safe here
    place.step_functions()
    return at_once(partial(_run_of, place), listed, _PARALLEL)


def _run_of(place: Target, execution: Mapping[str, Any]) -> Run:
    name, status = execution["name"], execution["status"]
    batch_id, source_key = replay_of(name)[0], ""
    if not is_batch_id(batch_id):  # someone gave it another name
        batch_id = str(_input_of(place, name).get("batch_id", name))
    dataset = restarts.dataset_of_batch(batch_id)
    has_ended, has_failed = status != "RUNNING", status not in ("RUNNING", "SUCCEEDED")
    manifest = read_document(place, Manifest, manifest_key(dataset, batch_id)) if has_ended else None
    failure = read_document(place, FailureRecord, failure_key(dataset, batch_id, name)) if has_failed else None
    record, outcome = manifest or failure, _outcome(place, execution, batch_id, manifest, failure)
    if record is None:
        source = _input_of(place, name).get("source")
        source_key = str(source.get("key", "")) if isinstance(source, dict) else ""
    return Run(
        name=name,
        batch_id=batch_id,
        key=record.source.key if record else source_key,
        status=status,
        outcome=outcome,
        started=execution["startDate"],
        stopped=execution.get("stopDate"),
        counts=structs.asdict(manifest.counts) if manifest and outcome != "failed" else {},
        error=failure.error if failure else status if has_failed else "",
        usd=cost_of(place, batch_id, name) if has_ended else "",
    )


def cost_of(place: Target, batch_id: str, name: str) -> str:
    """Return the cost of an execution in USD from its run record, or an empty string without a run record."""
    record = read_document(place, RunRecord, run_key(restarts.dataset_of_batch(batch_id), batch_id, name))
    return f"{Decimal(record.usd):.6f}" if record else ""


def _outcome(
    place: Target,
    execution: Mapping[str, Any],
    batch_id: str,
    manifest: Manifest | None,
    failure: FailureRecord | None,
) -> Outcome:
    """Return the outcome of an execution. It stays failed if a later execution published the batch."""
    committed = execution["status"] == "SUCCEEDED" or bool(failure and failure.published)
    if manifest and committed:
        return outcome_of(BatchState.PUBLISHED, rejected=manifest.counts.rejected)
    if failure and not committed:
        return Outcome.FAILED
    patience = restarts.patience()
    state = state_without_record(execution, patience)
    dataset = restarts.dataset_of_batch(batch_id)
    if not manifest and is_gone(restarts.pipeline_of(place), dataset, batch_id, state, execution, patience):
        return Outcome.GONE
    return outcome_of(state)


def _input_of(place: Target, name: str) -> dict[str, Any]:
    execution = executions.describe(place.step_functions(), place.outputs()["state_machine_arn"], name)
    try:
        content = json.loads(execution["input"]) if execution else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def console_url(place: Target, execution: str | None) -> str:
    """Return the console address of an execution, by name or ARN, or of the state machine."""
    machine = str(place.outputs()["state_machine_console_url"])
    if execution is None:
        return machine
    is_arn = execution.startswith("arn:")
    arn = execution if is_arn else executions.execution_arn(place.outputs()["state_machine_arn"], execution)
    return f"{machine.partition('#')[0]}#/v2/executions/details/{arn}"
