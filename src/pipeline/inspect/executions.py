"""What runs and what has run: executions with their outcomes, and their addresses in the console."""

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
from functions.common.executions import execution_arn
from functions.common.parallel import at_once
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.inspect.outcome import Outcome, outcome_of
from pipeline.recover import restarts

_PARALLEL = 8


@dataclass(frozen=True)
class Run:
    """One execution, the counts of its batch where it was published, and what it cost."""

    name: str
    batch_id: str
    key: str
    """Of the source; empty where nothing tells it."""
    status: str
    """As Step Functions says."""
    outcome: Outcome
    """As `explain` calls it; of a run that failed, failed also where a later one published the batch."""
    started: datetime
    stopped: datetime | None
    counts: dict[str, int]
    """Empty unless it is published."""
    error: str
    """Also of a published batch, where something failed after that."""
    usd: str
    """What it cost, as its run record says; empty until there is one, seconds after the end."""

    @property
    def seconds(self) -> float:
        """How long it took, or has taken until now."""
        return ((self.stopped or datetime.now(UTC)) - self.started).total_seconds()


def recent_runs(place: Target, limit: int) -> list[Run]:
    """The latest executions, newest first: one request for all, and two or three for each."""
    arn = place.outputs()["state_machine_arn"]
    listed = place.step_functions().list_executions(stateMachineArn=arn, maxResults=limit)["executions"]
    return runs_of(place, [dict(one) for one in listed])


def runs_of(place: Target, listed: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Executions as ListExecutions answers them, with what their records say, in the same order."""
    place.s3()  # made once, before the threads: boto3 does not make clients thread-safely
    place.step_functions()
    return at_once(partial(run_of, place), listed, _PARALLEL)


def run_of(place: Target, execution: Mapping[str, Any]) -> Run:
    """An execution as ListExecutions answers it, with what its records say."""
    name, status = execution["name"], execution["status"]
    batch_id = _batch_of(place, name)
    dataset = batch_id.partition("-")[0]
    manifest = read_document(place, Manifest, manifest_key(dataset, batch_id)) if status != "RUNNING" else None
    failure = None
    if status not in ("RUNNING", "SUCCEEDED"):
        failure = read_document(place, FailureRecord, failure_key(dataset, batch_id, name))
    told, outcome = manifest or failure, _outcome(place, execution, batch_id, manifest, failure)
    return Run(
        name=name,
        batch_id=batch_id,
        key=told.source.key if told else _key_of(place, name),
        status=status,
        outcome=outcome,
        started=execution["startDate"],
        stopped=execution.get("stopDate"),
        counts=structs.asdict(manifest.counts) if manifest and outcome != "failed" else {},
        error=failure.error if failure else "" if status in ("RUNNING", "SUCCEEDED") else status,
        usd=cost_of(place, batch_id, name) if status != "RUNNING" else "",
    )


def cost_of(place: Target, batch_id: str, name: str) -> str:
    """What an execution of a batch cost, in USD, as its run record says; empty where there is none."""
    record = read_document(place, RunRecord, run_key(batch_id.partition("-")[0], batch_id, name))
    return f"{Decimal(record.usd):.6f}" if record else ""


def _outcome(
    place: Target,
    execution: Mapping[str, Any],
    batch_id: str,
    manifest: Manifest | None,
    failure: FailureRecord | None,
) -> Outcome:
    """How an execution ended; that a later one published the batch does not make it a success."""
    committed = execution["status"] == "SUCCEEDED" or bool(failure and failure.published)
    if manifest and committed:
        return outcome_of(BatchState.PUBLISHED, rejected=manifest.counts.rejected)
    if failure and not committed:
        return outcome_of(BatchState.FAILED)
    patience = restarts.patience()
    state = state_without_record(execution, patience)
    dataset = batch_id.partition("-")[0]
    if not manifest and is_gone(restarts.pipeline_of(place), dataset, batch_id, state, execution, patience):
        state = BatchState.GONE
    return outcome_of(state)


def _batch_of(place: Target, name: str) -> str:
    """The batch of an execution: by its name, or, where somebody gave it another, by its input."""
    batch_id, _ = replay_of(name)
    return batch_id if is_batch_id(batch_id) else str(_input_of(place, name).get("batch_id", name))


def _key_of(place: Target, name: str) -> str:
    """The key of an execution's source, by its input."""
    source = _input_of(place, name).get("source")
    return str(source.get("key", "")) if isinstance(source, dict) else ""


def _input_of(place: Target, name: str) -> dict[str, Any]:
    execution = executions.describe(place.step_functions(), place.outputs()["state_machine_arn"], name)
    try:
        content = json.loads(execution["input"]) if execution else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def console_url(place: Target, execution: str | None) -> str:
    """The console's address of the state machine, or of one of its executions."""
    machine = str(place.outputs()["state_machine_console_url"])
    if execution is None:
        return machine
    arn = execution if execution.startswith("arn:") else execution_arn(place.outputs()["state_machine_arn"], execution)
    return f"{machine.partition('#')[0]}#/v2/executions/details/{arn}"
