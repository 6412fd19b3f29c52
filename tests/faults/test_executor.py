"""The executor follows the definition: it passes every case and produces the same events as moto's engine."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.faults.executor import CrashError, Ended, Executor, StoppedError
from tests.statemachine import definition as asl
from tests.statemachine import engine, function_doubles, moto_engine
from tests.statemachine.definition_cases import CASES, TRANSIENT, TRIES, Case
from tests.statemachine.engine import FUNCTIONS, Run

DOUBLES = {name: getattr(function_doubles, name) for name in FUNCTIONS}


class ExecutorAsEngine:
    """The executor with the doubles as its functions, with the interface of tests/statemachine/engine.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published: list[dict[str, str]] = []

    def notifications(self, batch_id: str, expected: int) -> list[dict[str, str]]:
        return [notification for notification in self.published if batch_id in notification["message"]]

    def run(self, case: Case) -> tuple[Run, Executor]:
        batch = engine.make_batch(case.chunks)
        answer = engine.write_result(batch, case)
        folder = self.folder / batch.batch_id
        folder.mkdir()
        (folder / "script.json").write_text(json.dumps({"actions": case.actions, "summary": answer}))

        def publish(parameters: Mapping[str, str]) -> dict[str, str]:
            if not case.topic:
                raise ClientError({"Error": {"Code": "NotFound", "Message": "Topic does not exist"}}, "Publish")
            self.published.append({"subject": parameters["Subject"], "message": parameters["Message"]})
            return {"MessageId": "1"}

        executor = Executor(DOUBLES, publish)
        name = f"{batch.batch_id}-again"
        ended = executor.run(name, batch.to_input())
        error_members = {"error": ended.error, "cause": ended.cause}
        description = {
            "status": ended.status,
            **{key: value for key, value in error_members.items() if value is not None},
        }
        calls = {
            function: [
                json.loads(line) for path in folder.glob(f"{function}*.calls") for line in path.read_text().splitlines()
            ]
            for function in FUNCTIONS
        }
        return Run(batch, name, answer, description, executor.history, calls), executor


@pytest.fixture(scope="module")
def executor_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorAsEngine]:
    def hang(_seconds: float) -> None:
        raise CrashError("States.Timeout")

    folder = tmp_path_factory.mktemp("doubles")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv(function_doubles.FOLDER, str(folder))
        monkeypatch.setattr(function_doubles, "crash", moto_engine.crash)
        monkeypatch.setattr(function_doubles, "time", SimpleNamespace(sleep=hang))
        yield ExecutorAsEngine(folder)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_of_the_definition(executor_engine: ExecutorAsEngine, case: Case) -> None:
    run, _ = executor_engine.run(case)
    engine.check(executor_engine, case, run)  # type: ignore[arg-type]


# --- event by event, on moto's engine ---------------------------------------------------------------------------------

COMPARED_CASES = (
    "three chunks are published",
    "rejects are notified",
    "a data error in validate",
    "one chunk of three meets a transient fault",
    "write crashes twice",
    "each kind of fault has its own retries",
    "the record can't be written",
    "the failure notification can't be sent",
    "the rejects notification can't be sent",
)


@pytest.fixture(scope="module")
def motos(executor_engine: ExecutorAsEngine) -> Iterator[engine.Engine]:
    """moto's engine, one chunk at a time, so that the order of events is fixed and no two of its threads parse at once.
    Parallel parsing sometimes fails on Python 3.11 (https://github.com/python/cpython/issues/106905)."""
    render = asl.render

    def one_at_a_time(values: Mapping[str, str]) -> asl.Definition:
        definition = render(values)
        definition["States"]["ProcessChunks"]["MaxConcurrency"] = 1
        return definition

    with pytest.MonkeyPatch.context() as monkeypatch, mock_aws(config=moto_engine.CONFIG):
        monkeypatch.setattr(asl, "render", one_at_a_time)
        moto_engine.skip_waits(monkeypatch)
        moto_engine.serve(monkeypatch, DOUBLES)
        yield moto_engine.make_engine(executor_engine.folder)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in COMPARED_CASES], ids=lambda case: case.name)
def test_the_history_equals_that_of_motos_engine(
    executor_engine: ExecutorAsEngine, motos: engine.Engine, case: Case
) -> None:
    own, _ = executor_engine.run(case)
    theirs = engine.run(motos, case)
    assert events(own.history) == events(theirs.history)


def events(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Type and state of each event."""
    named = ("stateEnteredEventDetails", "stateExitedEventDetails")
    return [
        (event["type"], next((event[details]["name"] for details in named if details in event), ""))
        for event in sorted(history, key=lambda event: event["id"])
    ]


def test_every_compared_case_exists() -> None:
    assert set(COMPARED_CASES) <= {case.name for case in CASES}


# --- what no local engine does ----------------------------------------------------------------------------------------


def test_retries_wait_as_long_as_on_motos_engine(executor_engine: ExecutorAsEngine) -> None:
    _, executor = executor_engine.run(Case("write stays unavailable", {"write": (TRANSIENT,) * TRIES}))
    assert executor.waits == [2, 4, 8, 16, 32, 60]


def test_a_missing_path_ends_the_execution_and_no_catch_applies(executor_engine: ExecutorAsEngine) -> None:
    executor = Executor({**DOUBLES, "write": lambda _: {}}, lambda _: {"MessageId": "1"})
    run, _ = executor_engine.run(Case("made for its batch"))
    ended = executor.run("x", run.batch.to_input())
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert "'Write'" in str(ended.cause)


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
def test_an_execution_can_be_ended_from_outside_between_two_states(
    executor_engine: ExecutorAsEngine, status: str
) -> None:
    run, _ = executor_engine.run(Case("made for its batch"))

    def before(state: str) -> None:
        if state == "Write":
            raise StoppedError(status)

    executor = Executor(DOUBLES, lambda _: {"MessageId": "1"}, before)
    ended = executor.run("x", run.batch.to_input())
    assert ended == Ended(status, "States.Timeout" if status == "TIMED_OUT" else None)
    assert "Write" not in [name for _, name in events(executor.history)]


def test_longest_waits_of_a_retrier() -> None:
    retrier = asl.retrier_of(asl.tasks(asl.load())["Write"], "Lambda.CodeArtifactUserPendingException")
    assert retrier
    assert list(asl.waits(retrier)) == [30, 45, 60, 60, 60]
