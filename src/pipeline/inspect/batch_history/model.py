"""The history of one batch as plain data: its source, executions, outputs, rejects, and the next actions.

Nothing here calls AWS; `assemble.py` does. `explain`, `rejects` and `report` show the same data. All times are UTC.
Strings are unescaped: code that prints them makes sure that they can't steer a terminal or a browser.
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
    """The cost of an execution, from its run record. Money and quantities are exact decimals, as strings."""

    usd: str
    usd_for_1000_records: str | None
    lines: tuple[RunCost, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A try that failed."""

    name: str
    """The state, and the chunk if it is inside a Map."""
    number: int
    """From 1; 0 if the history doesn't show it."""
    one: Try


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a batch: the first, or a replay."""

    name: str
    arn: str
    replay: int
    """0 is the first execution."""
    status: str
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, as in Step Functions."""
    started: datetime | None
    """None if AWS has deleted the execution, and there is no run record."""
    stopped: datetime | None
    console_url: str
    redrives: int = 0
    """How many times someone redrove it in the console."""
    is_forgotten: bool = False
    """AWS deletes executions after 90 days: this one comes from its records alone, without steps."""
    error: str = ""
    cause: str = ""
    steps: tuple[Step, ...] = ()
    """The states visited, in order."""
    not_reached: tuple[str, ...] = ()
    """The states of the definition that were not visited, in its order."""
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
    """One way in which a record violates the contract."""

    code: str
    pointer: str
    """JSON Pointer; empty for the whole record."""
    rule: str
    message: str
    """A sentence that never quotes a value."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A sample of the rejects."""

    position: int
    position_kind: str
    """What `position` counts: the byte offset of a line, or the index of a record."""
    reason: str
    problems: tuple[Problem, ...]
    record: Any
    """A JSON value, masked unless the caller requested values; None if the record could not be read."""
    raw: str | None = None
    """A record that isn't JSON, masked in the same way; in base64 if it isn't UTF-8."""
    truncated_from: int | None = None
    """How many bytes the record had, if only its beginning was kept."""


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Rejects that violate the same rule at the same place of the contract."""

    reason: str
    rule: str
    pointer: str
    """The place, with * for each array index: /items/*/quantity."""
    message: str
    """The message of the first reject."""
    count: int
    position_kind: str
    places: tuple[int, ...]
    """The positions of the first few."""
    samples: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejects of a batch, including superseded records."""

    key: str
    """The key of the file in the processed bucket."""
    groups: tuple[RejectGroup, ...]
    """The largest first; superseded records last."""
    read: int
    """How many rejects were read for the groups."""
    is_whole: bool
    """Whether all were read; `explain` reads only the first megabytes."""
    masked: bool
    ungrouped: int = 0
    """Rejects of further groups, which are only counted."""
    is_missing: bool = False
    """The manifest names the file, but it no longer exists: rejects may expire before tables."""


@dataclass(frozen=True, slots=True)
class BatchRejects:
    """The rejects of a batch, without the rest of its history."""

    batch_id: str
    state: str
    """The value of its BatchState."""
    error: str
    """Why it failed; empty if it did not."""
    cause: str
    rejects: Rejects | None
    """None if it has none."""


@dataclass(frozen=True, slots=True)
class Output:
    """One file that was published."""

    table: str
    """`rejects` for the file of rejects."""
    kind: str
    """parquet, csv or jsonl."""
    key: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of the key."""

    version_id: str
    uploaded: datetime
    size: int
    batch_id: str
    is_current: bool
    """Whether readers of the key get it."""
    is_this: bool
    """Whether it is the source of this batch."""
    state: str
    """The value of its BatchState; empty if it was not looked up."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of the batch."""

    number: int
    batch_id: str
    state: str
    """The value of its BatchState."""
    is_read: bool
    """Whether readers get it: it is the highest published revision."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event about this batch that was logged."""

    time: datetime
    by: str
    """`starter`, or `reconciler` if S3's event never arrived."""
    started: bool
    """Whether it started the execution. A duplicate event does not."""

    def sentence(self) -> str:
        """What happened, for people, without a full stop."""
        if self.by == "reconciler":
            return "S3's event never arrived; the reconciler found the file and started its execution"
        if self.started:
            return "S3's event arrived; the starter started the execution"
        return "S3's event arrived again, and started nothing"


@dataclass(frozen=True, slots=True)
class Queued:
    """An event about this batch in the failed-event queue."""

    since: datetime
    function: str
    """The function that it was for."""
    error: str


@dataclass(frozen=True, slots=True)
class Action:
    """What to do next."""

    sentence: str
    command: str = ""
    """The command for it, if there is one."""


@dataclass(frozen=True, slots=True)
class BatchHistory:
    """Everything that is known about one batch."""

    asked: str
    """The argument as given."""
    target: str
    """aws or local."""
    batch_id: str
    revision: int
    dataset: str
    source: Source | None
    """None if no record names it."""
    uploaded: datetime | None
    is_source_there: bool
    """Whether S3 returns or at least lists the version."""
    versions: tuple[FileVersion, ...]
    """All versions of the key, including this one, newest first; at most a hundred."""
    is_deleted: bool
    """Whether the key's latest version is a delete marker, so readers of the key find nothing."""
    revisions: tuple[Revision, ...]
    """All revisions of the batch that have records or outputs, including this one."""
    heard: tuple[LoggedEvent, ...]
    queued: tuple[Queued, ...]
    executions: tuple[Execution, ...]
    """The first, then the replays."""
    outputs: tuple[Output, ...]
    rejects: Rejects | None
    manifest: Manifest | None
    """None unless it is published."""
    manifest_key: str
    processed_bucket: str
    console_url: str
    """The address of the latest execution or, if there is none, of the state machine."""
    unknown: tuple[str, ...] = ()
    """What could not be looked up, as sentences."""
    is_source_archived: bool = False
    """Whether the source is in an archive storage class and must be restored before it can be read."""
    ignored_by: str = ""
    """The pattern by which the contract ignores the key; what has traces is not ignored."""
    outcome: Outcome = Outcome.UNKNOWN
    actions: tuple[Action, ...] = ()
    """What to do next, in order; empty if nothing needs to be done."""

    @property
    def latest(self) -> Execution | None:
        """The latest execution."""
        return self.executions[-1] if self.executions else None

    @property
    def failed(self) -> Execution | None:
        """The latest execution, if it failed. In a published batch, a step after the commit failed."""
        return self.latest if self.latest and self.latest.status not in ("RUNNING", "SUCCEEDED") else None
