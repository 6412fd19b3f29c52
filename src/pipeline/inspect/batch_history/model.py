"""The history of a batch as plain data: its source, executions, outputs, rejects, and the next actions.

This module calls no AWS service; `assemble.py` does. `explain`, `rejects` and `report` show the same data. All times
are UTC. Strings are unescaped: code that prints them must prevent them from controlling a terminal or a browser.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.common.batch import Source
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunCost
from functions.common.execution_history.model import FAILURES, Chunk, Step, Try, seconds_between
from pipeline.inspect.outcome import Outcome as Outcome


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an execution from its run record. Amounts and quantities are exact decimals in strings."""

    usd: str
    usd_for_1000_records: str | None
    lines: tuple[RunCost, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failed try of a state."""

    name: str
    """The name of the state, with the chunk for a state inside a Map."""
    number: int
    """The number of the try, from 1. It is 0 if the history doesn't show the number."""
    one: Try


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution of a batch: the first, or a replay."""

    name: str
    arn: str
    replay: int
    """The number of the replay. It is 0 for the first execution."""
    status: str
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, as in Step Functions."""
    started: datetime | None
    """The start time, or None if AWS has deleted the execution and there is no run record."""
    stopped: datetime | None
    console_url: str
    redrives: int = 0
    """The number of times someone redrove the execution in the console."""
    is_forgotten: bool = False
    """Whether AWS has deleted the execution, 90 days after its end. The data then comes from records, without steps."""
    error: str = ""
    cause: str = ""
    steps: tuple[Step, ...] = ()
    """The visited states, in order."""
    not_reached: tuple[str, ...] = ()
    """The states of the definition that were not visited, in the definition's order."""
    failure: FailureRecord | None = None
    cost: Cost | None = None

    @property
    def seconds(self) -> float | None:
        return seconds_between(self.started, self.stopped)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        return tuple(chunk for step in self.steps for chunk in step.chunks)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The failed tries of all states, in the order of the states."""
        return tuple(_troubles(self.steps))


def _troubles(steps: Iterable[Step], where: str = "") -> Iterator[Trouble]:
    for step in steps:
        for number, one in enumerate(step.tries, 1):
            if one.outcome in FAILURES:
                yield Trouble(f"{step.name}{where}", 0 if step.inside_untold else number, one)
        for chunk in step.chunks:
            yield from _troubles(chunk.steps, f", chunk {chunk.number}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A violation of the contract by a record."""

    code: str
    pointer: str
    """A JSON Pointer into the record. Empty for the whole record."""
    rule: str
    message: str
    """A sentence that never quotes a value."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A reject that is shown as a sample."""

    position: int
    position_kind: str
    """What `position` means: the byte offset of a line, or the index of a record."""
    reason: str
    problems: tuple[Problem, ...]
    record: Any
    """A JSON value, masked unless the caller requested values, or None if the record could not be read."""
    raw: str | None = None
    """A record that isn't JSON, masked like `record`. In base64 if it isn't UTF-8."""
    truncated_from: int | None = None
    """The length of the record in bytes, if only its beginning was kept."""


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Rejects that violate the same rule at the same place of the contract."""

    reason: str
    rule: str
    pointer: str
    """The JSON Pointer of the violation, with * for array indexes, such as /items/*/quantity."""
    message: str
    """The message of the first reject."""
    count: int
    position_kind: str
    places: tuple[int, ...]
    """The positions of the first rejects in the group."""
    samples: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejects of a batch, including superseded records."""

    key: str
    """The key of the file in the processed bucket."""
    groups: tuple[RejectGroup, ...]
    """The groups by size, largest first. Superseded records are last."""
    read: int
    """The number of rejects that were read to form the groups."""
    is_whole: bool
    """Whether all rejects were read. `explain` reads only the first megabytes."""
    masked: bool
    ungrouped: int = 0
    """The number of rejects in further groups, which are only counted."""
    is_missing: bool = False
    """Whether the file that the manifest names no longer exists. Rejects may expire before tables."""


@dataclass(frozen=True, slots=True)
class BatchRejects:
    """The rejects of a batch, without the rest of its history."""

    batch_id: str
    state: str
    """The value of the batch's BatchState."""
    error: str
    """The error that failed the batch, or an empty string if the batch did not fail."""
    cause: str
    rejects: Rejects | None
    """The rejects, or None if the batch has none."""


@dataclass(frozen=True, slots=True)
class Output:
    """A published file."""

    table: str
    """The name of the table, or `rejects` for the file of rejects."""
    kind: str
    """parquet, csv or jsonl."""
    key: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A version of the batch's key."""

    version_id: str
    uploaded: datetime
    size: int
    batch_id: str
    is_current: bool
    """Whether readers of the key get this version."""
    is_this: bool
    """Whether this version is the source of the batch."""
    state: str
    """The value of the BatchState of this version's batch, or an empty string if it was not looked up."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of the batch."""

    number: int
    batch_id: str
    state: str
    """The value of the revision's BatchState."""
    is_read: bool
    """Whether readers get this revision, because it is the highest published revision."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A logged event about the batch."""

    time: datetime
    by: str
    """The function that logged the event: `starter`, or `reconciler` if S3's event never arrived."""
    started: bool
    """Whether the event started the execution. A duplicate event does not."""

    def sentence(self) -> str:
        """Return what happened, for people, without a final period."""
        if self.by == "reconciler":
            return "S3's event never arrived, so the reconciler found the file and started its execution"
        if self.started:
            return "S3's event arrived; the starter started the execution"
        return "S3's event arrived again, and started nothing"


@dataclass(frozen=True, slots=True)
class Queued:
    """An event about the batch in the failed-event queue."""

    since: datetime
    function: str
    """The name of the function that could not handle the event."""
    error: str


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a person should take next."""

    sentence: str
    command: str = ""
    """The command for the action, or an empty string if there is none."""


@dataclass(frozen=True, slots=True)
class BatchHistory:
    """Everything that is known about a batch."""

    asked: str
    """The argument as the user gave it."""
    target: str
    """aws or local."""
    batch_id: str
    revision: int
    dataset: str
    source: Source | None
    """The source, or None if no record names it."""
    uploaded: datetime | None
    is_source_there: bool
    """Whether S3 returns, or at least lists, the source version."""
    versions: tuple[FileVersion, ...]
    """Up to a hundred versions of the key, including this one, newest first."""
    is_deleted: bool
    """Whether the key's latest version is a delete marker, so that readers of the key find nothing."""
    revisions: tuple[Revision, ...]
    """All revisions of the batch that have records or outputs, including this one."""
    heard: tuple[LoggedEvent, ...]
    queued: tuple[Queued, ...]
    executions: tuple[Execution, ...]
    """The first execution, then the replays."""
    outputs: tuple[Output, ...]
    rejects: Rejects | None
    manifest: Manifest | None
    """The manifest, or None if the batch is not published."""
    manifest_key: str
    processed_bucket: str
    console_url: str
    """The console address of the latest execution, or of the state machine if there is no execution."""
    unknown: tuple[str, ...] = ()
    """Sentences about data that could not be looked up."""
    is_source_archived: bool = False
    """Whether the source is in an archive storage class and must be restored before it can be read."""
    ignored_by: str = ""
    """The pattern by which the contract ignores the key. Empty if the batch has an execution or a record."""
    outcome: Outcome = Outcome.UNKNOWN
    actions: tuple[Action, ...] = ()
    """What to do next, in order. Empty if nothing needs to be done."""

    @property
    def latest(self) -> Execution | None:
        """The latest execution, or None."""
        return self.executions[-1] if self.executions else None

    @property
    def failed(self) -> Execution | None:
        """The latest execution if it failed, or None. In a published batch, a step after the commit failed."""
        return self.latest if self.latest and self.latest.status not in ("RUNNING", "SUCCEEDED") else None
