"""All tables or none: kill `write` around each of its writes, read after each, and run two at once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest

from functions.write import index as write
from tests.faults import order_files, outcome_check
from tests.faults.fault_injection import Call, Fault, at_call
from tests.faults.fault_table import survives
from tests.faults.faulty_releases import done_already
from tests.faults.process_kills import Killed
from tests.faults.simulated_cloud import Cloud, clouds

pytestmark = pytest.mark.slow

WRITES = 8
"""Six files of tables, the rejects, and the manifest."""


@dataclass
class Staged:
    """A file with valid, rejected and superseded records in several chunks, ready for `write`."""

    cloud: Cloud
    batch: dict[str, Any]
    writes: list[Call]
    """What `write` writes in a run without faults, in its order."""
    outputs: dict[str, bytes]

    def again(self) -> Cloud:
        """The cloud without any output of `write`. From now on, a reader checks it after every write."""
        self.cloud.forget("staging/")
        self.cloud.deliver()
        self.cloud.functions |= dict.fromkeys(("validate", "transform"), done_already)
        self.cloud.injector.after = lambda call: read_published(self.cloud) if call.writes else None
        return self.cloud

    def finish(self) -> None:
        """Check that the batch is published with the same bytes, and that every record is accounted for."""
        self.cloud.settle()
        assert self.cloud.outputs() == self.outputs
        assert len(outcome_check.check(self.cloud).published) == 1


@pytest.fixture(scope="module")
def staged() -> Iterator[Staged]:
    with clouds(CHUNK_BYTES="2500") as cloud:
        cloud.upload(order_files.mixed())
        cloud.settle()
        batch = json.loads(cloud.executions[0].execution_input)
        assert batch["last_chunk"] == 1
        writes = [call for call in cloud.injector.calls if call.step == "write" and call.writes]
        assert len(writes) == WRITES
        assert writes[-1].place.startswith("manifests/"), "the manifest must come last"
        yield Staged(cloud, batch, writes, cloud.outputs())


def read_published(cloud: Cloud) -> dict[str, Any] | None:
    """The manifest, or None if it does not exist. Raises an error unless every output in it is complete."""
    manifests = cloud.objects("manifests/")
    if not manifests:
        return None
    (manifest,) = (json.loads(data) for data in manifests.values())
    outcome_check.check_published(cloud, manifest)
    counts: dict[str, Any] = manifest["counts"]
    return counts


# --- killed -----------------------------------------------------------------------------------------------------------


@survives("killed between any two writes of write")
@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER], ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("number", range(WRITES))
def test_a_write_that_is_killed_publishes_nothing_and_its_retry_completes(
    staged: Staged, number: int, fault: Fault
) -> None:
    cloud, call = staged.again(), staged.writes[number]
    cloud.injector.inject(fault, at_call(call))
    with pytest.raises(Killed):
        cloud.invoke("write", staged.batch)
    committed = call == staged.writes[-1] and fault is Fault.KILL_AFTER
    assert (read_published(cloud) is not None) == committed
    written = set(cloud.outputs())
    assert (call.place in written) == (fault is Fault.KILL_AFTER)
    (rejects, *tables), manifest = ({one.place} for one in staged.writes[:-1]), {staged.writes[-1].place}
    # The tables are uploaded in parallel, so any of them may exist.
    complete, possible = rejects, rejects.union(*tables)
    if number == 0:
        complete, possible = set(), rejects
    elif call == staged.writes[-1]:
        complete, possible = possible, possible | manifest
    assert complete <= written <= possible
    staged.finish()


@survives("killed between any two writes of write")
def test_a_reader_finds_nothing_or_the_whole_batch_after_every_write(staged: Staged) -> None:
    cloud, seen = staged.again(), []

    def look(call: Call) -> None:
        if call.writes:
            seen.append(read_published(cloud))

    cloud.injector.after = look
    counts = cloud.invoke("write", staged.batch)
    whole = {name: counts[name] for name in ("received", "valid", "rejected", "superseded", "published")}
    assert whole == {"received": 5, "valid": 4, "rejected": 1, "superseded": 1, "published": 3}
    assert seen == [None] * (WRITES - 1) + [whole]


# --- twice at once ----------------------------------------------------------------------------------------------------


class Paused:
    """A `write` in its own environment, stopped before its `number`th write."""

    def __init__(self, cloud: Cloud, batch: Any, number: int) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None
        self._arrived, self._go_on = Event(), Event()
        self._left = number
        cloud.injector.before = self._pause
        self._thread = Thread(target=self._run, args=(batch,), daemon=True)
        self._thread.start()
        assert self._arrived.wait(60), f"write did not reach its write number {number}: {self.error}"
        cloud.injector.before = None

    def _run(self, batch: Any) -> None:
        try:
            self.answer = write.handler(batch)
        except BaseException as exc:
            self.error = exc

    def _pause(self, call: Call) -> None:
        """Every call is from this one, because all others wait meanwhile."""
        self._left -= call.writes
        if not self._left:
            self._left = -1
            self._arrived.set()
            assert self._go_on.wait(60)

    def finish(self) -> Any:
        """Continue to the end and return the result."""
        self._go_on.set()
        self._thread.join(60)
        if self.error:
            raise self.error
        return self.answer


def move_to_other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continue in another Lambda environment, so that no other work folder is cleaned up."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", f"2026/01/02/[7]{uuid4().hex}")


PAIRS = list(product(range(1, WRITES + 1), [None, *range(1, WRITES + 1)]))
"""Before which write the first is stopped, and before which the second; None: the second runs to its end."""


def at_once(staged: Staged, first: int, second: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = staged.again()
    with cloud.injector.during("write"):
        move_to_other_environment(monkeypatch)
        one = Paused(cloud, staged.batch, first)
        move_to_other_environment(monkeypatch)
        other = Paused(cloud, staged.batch, second) if second else None
        manifests = [write.handler(staged.batch)] if other is None else []
        manifests.append(one.finish())
        manifests += [other.finish()] if other else []
    assert manifests[0] == manifests[1], "both must return the same manifest"
    assert len(cloud.objects("manifests/")) == 1
    staged.finish()


@survives("two writers at once")
@pytest.mark.parametrize(("first", "second"), [(1, None), (4, None), (8, None), (1, 8), (8, 1), (5, 3)])
def test_one_of_two_concurrent_writers_commits_and_the_other_agrees(
    staged: Staged, first: int, second: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(staged, first, second, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_one_of_two_concurrent_writers_commits_in_every_interleaving(
    staged: Staged, first: int, second: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(staged, first, second, monkeypatch)
