"""The story of one batch as plain data: what came in, what was tried, what came out, what to do now.

Nothing here asks AWS; `gather.py` does. `explain`, `rejects` and `report` read the same story. All times are UTC, all
texts are as they came: whoever shows them sees that they can't steer a terminal or a browser.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from functions.common.batch import Source
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunCost
from pipeline.inspect.outcome import Outcome as Outcome

NOTHING: Mapping[str, Any] = {}


class Ended(StrEnum):
    """How a state, a try or a chunk ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CAUGHT = "caught"
    """It failed, and a Catch led on."""
    TIMED_OUT = "timed out"
    ABORTED = "aborted"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a task."""

    started: datetime | None
    """When it began, or, where the history does not tell, when it was scheduled; None where it tells neither."""
    ended: datetime | None
    outcome: Ended
    error: str = ""
    cause: str = ""
    """The sentence alone, without stack trace."""

    @property
    def seconds(self) -> float | None:
        return _seconds(self.started, self.ended)


@dataclass(frozen=True, slots=True)
class Step:
    """One visit of a state."""

    name: str
    kind: str
    """Pass, Task, Map, Choice, Succeed or Fail."""
    entered: datetime
    exited: datetime | None
    outcome: Ended
    tries: tuple[Try, ...] = ()
    """Of a Task, in order. Of a Map whose inside the history does not tell apart (`inside_untold`): those of its
    failed tasks, without a beginning."""
    chunks: tuple["Chunk", ...] = ()
    """Of a Map, by number, as far as the history shows them."""
    scheduled: int = 0
    """How many tasks were scheduled, in a Map those of its chunks included."""
    inside_untold: bool = False
    """Whether this is a Map of which the history shows only that tasks were scheduled and ended, as the embedded
    AWS's does."""
    error: str = ""
    cause: str = ""

    @property
    def retries(self) -> int:
        """Tries behind the first, without those inside a Map."""
        return max(0, len(self.tries) - 1) if not self.inside_untold else 0

    @property
    def seconds(self) -> float | None:
        return _seconds(self.entered, self.exited)

    def walk(self) -> Iterator["Step"]:
        """This step and all that are inside it."""
        yield self
        for chunk in self.chunks:
            for step in chunk.steps:
                yield from step.walk()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One iteration of a Map: one chunk of the file."""

    number: int
    """From 0."""
    started: datetime
    ended: datetime | None
    outcome: Ended
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an execution cost, as its run record says; money and quantities are exact decimals, as text."""

    usd: str
    usd_for_1000_records: str | None
    lines: tuple[RunCost, ...]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a batch: the first, or a replay."""

    name: str
    arn: str
    replay: int
    """0 is the first execution."""
    status: str
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, as Step Functions says."""
    started: datetime | None
    """None where AWS has forgotten the execution, and no run record tells."""
    stopped: datetime | None
    console_url: str
    redrives: int = 0
    """How many times somebody resumed it in the console."""
    is_forgotten: bool = False
    """AWS forgets executions after 90 days: this one is known from its records alone, without steps."""
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
        return _seconds(self.started, self.stopped)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        return tuple(chunk for step in self.steps for chunk in step.chunks)


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a record breaks the contract."""

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
    """JSON values, each masked unless the values were asked for; None where the record could not be read."""
    raw: str | None = None
    """The text of a record that is no JSON, masked likewise; base64 of one that is no text."""
    truncated_from: int | None = None
    """How many bytes the record had, where only its beginning was kept."""


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Rejects that break the same rule at the same place of the contract."""

    reason: str
    rule: str
    pointer: str
    """The place, with * for each index of an array: /items/*/quantity."""
    message: str
    """The sentence of the first of them."""
    count: int
    position_kind: str
    places: tuple[int, ...]
    """The positions of the first of them."""
    samples: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejects of a batch, superseded records included."""

    key: str
    """Of the file, in the processed bucket."""
    groups: tuple[RejectGroup, ...]
    """The largest first; superseded records last."""
    read: int
    """How many rejects were read for the groups."""
    is_whole: bool
    """Whether that was all of them; a story reads only the first megabytes."""
    masked: bool
    ungrouped: int = 0
    """Rejects beyond the largest number of groups that is kept."""
    is_missing: bool = False
    """The manifest names the file, but it is not there any more: rejects are kept for a shorter time."""


@dataclass(frozen=True, slots=True)
class BatchRejects:
    """The rejects of a batch without the rest of its story."""

    batch_id: str
    state: str
    """What became of the batch, as `functions/common/batch_state.py` calls it."""
    error: str
    """Why it failed; empty where it did not."""
    cause: str
    rejects: Rejects | None
    """None where it has none."""


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
    """Whether it is what a reader of the key gets."""
    is_this: bool
    """Whether it is the one that the story is of."""
    state: str
    """What became of it, as `functions/common/batch_state.py` calls it; empty where it was not looked up."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of the batch."""

    number: int
    batch_id: str
    state: str
    """What became of it, as `functions/common/batch_state.py` calls it."""
    is_read: bool
    """Whether it is the one that readers take: the highest that is published."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the log says of an event about this batch."""

    time: datetime
    by: str
    """starter, or reconciler: then S3's event never came."""
    started: bool
    """Whether it started the execution; else it was known already: a duplicate event."""

    def sentence(self) -> str:
        """What happened, for people, without a full stop."""
        if self.by == "reconciler":
            return "S3's event never came; the reconciler found the file and started its execution"
        return (
            f"S3's event came{'; the starter started its execution' if self.started else ' again, and started nothing'}"
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """An event about this batch that waits in the on-failure queue."""

    since: datetime
    function: str
    """Whom it was for."""
    error: str


@dataclass(frozen=True, slots=True)
class Action:
    """What a person does next."""

    sentence: str
    command: str = ""
    """What to type for it, where a command does it."""


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one batch."""

    asked: str
    """What was asked for."""
    target: str
    """aws or local."""
    batch_id: str
    revision: int
    dataset: str
    source: Source | None
    """None where nothing tells it any more."""
    uploaded: datetime | None
    is_source_there: bool
    """Whether S3 returns or at least lists the version."""
    versions: tuple[FileVersion, ...]
    """All versions of the key, newest first, this one included; the newest hundred of them."""
    is_deleted: bool
    """Whether the key's latest version is a delete marker: readers of the key find nothing."""
    revisions: tuple[Revision, ...]
    """All revisions of the batch that have left anything, this one included."""
    heard: tuple[Heard, ...]
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
    """Of the latest execution, or, where there is none, of the state machine."""
    definition: Mapping[str, Any]
    """The state machine of the latest execution, as JSON; empty where AWS does not say."""
    unknown: tuple[str, ...] = ()
    """What could not be looked up, a sentence each."""
    is_source_archived: bool = False
    """Whether the source is in an archive storage class and must be restored before it can be read."""
    ignored_by: str = ""
    """The pattern by which the contract ignores the key; what has traces is not ignored."""
    outcome: Outcome = Outcome.UNKNOWN
    actions: tuple[Action, ...] = ()
    """What to do next, the first thing first; none where nothing is to be done."""

    @property
    def latest(self) -> Execution | None:
        """The latest execution."""
        return self.executions[-1] if self.executions else None

    @property
    def failed(self) -> Execution | None:
        """The latest execution, if it failed; of a published batch that is something that came after the commit."""
        return self.latest if self.latest and self.latest.status not in ("RUNNING", "SUCCEEDED") else None


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else (until - since) / timedelta(seconds=1)
