"""The same definition on moto's engine, with functions in this process.

moto supports what the embedded AWS does not: jitter and MaxDelaySeconds, an error for a missing path, and the
events of a Map's iterations.
"""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from functions.common.execution_history.model import Ended
from functions.common.execution_history.outcomes import not_reached, read_steps
from tests.statemachine import definition as asl
from tests.statemachine import function_doubles
from tests.statemachine.definition_cases import CASES, DATA_ERROR, TRANSIENT, Case
from tests.statemachine.engine import FUNCTIONS, Engine, check, run
from tests.statemachine.function_doubles import CRASH
from tests.statemachine.moto_engine import CONFIG, crash, make_engine, serve, skip_waits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def waits() -> Iterator[list[float]]:
    """The seconds that retries would have waited."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield skip_waits(monkeypatch)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, waits: list[float]) -> Iterator[Engine]:
    """moto with the doubles as its functions."""
    folder = tmp_path_factory.mktemp("doubles")
    with pytest.MonkeyPatch.context() as monkeypatch, mock_aws(config=CONFIG):
        monkeypatch.setenv(function_doubles.FOLDER, str(folder))
        monkeypatch.setattr(function_doubles, "crash", crash)
        serve(monkeypatch, {name: getattr(function_doubles, name) for name in FUNCTIONS})
        yield make_engine(folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_definition(engine: Engine, case: Case) -> None:
    check(engine, case, run(engine, case))


def test_each_retry_waits_twice_as_long_up_to_a_minute(engine: Engine, waits: list[float]) -> None:
    waits.clear()
    run(engine, Case("write stays unavailable", {"write": (TRANSIENT,) * 20}))
    assert waits == [2, 4, 8, 16, 32, 60]
    waits.clear()
    run(engine, Case("the rejects notification can't be sent", rejected=1, topic=False))
    assert waits == [2, 4, 8, 16, 32]


def test_the_history_has_as_many_events_as_the_retry_budget_assumes(engine: Engine) -> None:
    """test_retry_budget.py calculates the longest history from them."""

    def events(case: Case) -> int:
        return len(run(engine, case).history)

    one = events(Case("one chunk"))
    assert events(Case("three chunks", chunks=3)) - one == 2 * asl.chunk_events(1)
    assert events(Case("retried", {"validate": (TRANSIENT,) * 4})) - one == 4 * asl.EVENTS_PER_ATTEMPT
    write = asl.tasks(asl.load())["Write"]
    faults = [retrier["ErrorEquals"][0] for retrier in write["Retry"] for _ in range(retrier["MaxAttempts"])]
    worst = dict.fromkeys(FUNCTIONS, (*faults, CRASH))
    most = asl.max_events(asl.load(), chunks=1)
    assert events(Case("validate fails after every retry", worst)) < most
    assert events(Case("write fails after every retry", {**worst, "validate": (), "transform": ()})) < most


def test_read_steps_separates_the_history_of_parallel_chunks(engine: Engine) -> None:
    """`pipeline explain` reads such a history. As on AWS it has the events of iterations."""
    case = Case("the second of three chunks fails", {"validate-1": (TRANSIENT, DATA_ERROR)}, chunks=3)
    steps = read_steps(run(engine, case).history, asl.load())
    chunks = {step.name: step for step in steps}["ProcessChunks"]
    assert (chunks.outcome, chunks.error, len(chunks.chunks)) == (Ended.CAUGHT, DATA_ERROR, 3)
    [validate] = chunks.chunks[1].steps
    assert [one.error for one in validate.tries] == [TRANSIENT, DATA_ERROR]
    assert (validate.outcome, validate.retries, chunks.chunks[1].outcome) == (Ended.FAILED, 1, Ended.FAILED)
    assert [step.name for step in steps[-3:]] == ["RecordFailure", "NotifyFailure", "Failed"]
    assert not_reached(steps, asl.load())[0] == "Write"

    case = Case("a file succeeds after retries", {"write": (TRANSIENT,)}, chunks=2, rejected=1)
    steps = read_steps(run(engine, case).history)
    assert {step.outcome for outer in steps for step in outer.walk()} == {Ended.SUCCEEDED}
    assert {step.name: step.retries for step in steps if step.kind == "Task"} == {"Write": 1, "NotifyRejects": 0}
