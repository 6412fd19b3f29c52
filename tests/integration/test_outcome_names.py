"""Every command uses the same name for the outcome of a batch: status, watch, explain, replay, reconcile and erase."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from functions.common.batch import Batch
from functions.common.batch_state import BatchState, is_gone
from functions.common.executions import describe
from pipeline.inspect import executions as monitor
from pipeline.inspect import explain_commands, monitor_commands, watch
from pipeline.inspect.batch_history import collect_history
from pipeline.inspect.outcome import Outcome, outcome_of
from pipeline.recover import restarts
from tests import harness
from tests.integration import test_explain as ways
from tests.integration.deployed import Place, end
from tests.integration.test_recovery_commands import Run, place, run

__all__ = ["place", "run"]

EXECUTED = [way for way in ways.WAYS if way[0] not in (ways.waiting, ways.never_started)]
FROM_STATE = [way for way in EXECUTED if way[0] is not ways.partly_rejected]


@pytest.fixture(autouse=True)
def _same_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for commands in (explain_commands, monitor_commands):
        monkeypatch.setattr(commands, "target", lambda _: place)


@pytest.mark.parametrize(
    ("way", "outcome"), [way[:2] for way in EXECUTED], ids=lambda value: getattr(value, "__name__", "")
)
def test_status_watch_and_explain_agree(place: Place, way: Callable[[Place], Batch], outcome: Outcome) -> None:
    batch = way(place)
    found = collect_history(place, batch.batch_id)  # type: ignore[arg-type]
    listed = {run.batch_id: run for run in monitor.recent_runs(place, 10)}  # type: ignore[arg-type]
    _, watched = next(watch.watch(place, datetime.now(UTC) - timedelta(days=2)))  # type: ignore[arg-type]
    assert watched.batch_id == batch.batch_id
    assert (found.outcome, listed[batch.batch_id].outcome, watched.outcome) == (outcome, outcome, outcome)


@pytest.mark.parametrize(
    ("way", "outcome"), [way[:2] for way in FROM_STATE], ids=lambda value: getattr(value, "__name__", "")
)
def test_recovery_and_explain_agree(place: Place, way: Callable[[Place], Batch], outcome: Outcome) -> None:
    batch = way(place)
    finding = restarts.find(place, batch.batch_id, restarts.patience())  # type: ignore[arg-type]
    assert outcome_of(finding.state) is outcome


@pytest.mark.parametrize("state", BatchState)
def test_every_batch_state_has_an_outcome(state: BatchState) -> None:
    assert outcome_of(state) in Outcome


def erased(place: Place, run: Run, way: Callable[[Place], Batch]) -> Batch:
    place.s3().put_bucket_versioning(Bucket=harness.PROCESSED, VersioningConfiguration={"Status": "Enabled"})
    batch = way(place)
    end(batch.batch_id, "SUCCEEDED" if way is ways.published else "FAILED", ago=timedelta(hours=1))
    assert run("erase", batch.batch_id, "--apply")[::2] == (0, "")
    return batch


@pytest.mark.parametrize("way", [ways.published, ways.hopeless, ways.not_notified])
def test_an_erased_batch_is_gone_everywhere(place: Place, run: Run, way: Callable[[Place], Batch]) -> None:
    batch = erased(place, run, way)
    assert " gone " in run("status")[1].replace("\n", " ")
    assert run("explain", batch.batch_id)[1].startswith("GONE")
    assert "1 batch, gone" in run("replay", batch.batch_id)[1]
    status, printed, _ = run("reconcile")
    assert status == 0, printed
    assert batch.batch_id not in printed, "nobody has to do anything about it"


@pytest.mark.parametrize("way", [ways.published, ways.hopeless])
def test_a_second_erasure_reports_that_nothing_is_left(place: Place, run: Run, way: Callable[[Place], Batch]) -> None:
    batch = erased(place, run, way)
    for arguments in ([], ["--apply"]):
        status, printed, _ = run("erase", batch.batch_id, *arguments)
        assert status == 0
        assert f"No object of {batch.batch_id} exists: the batch was erased" in printed
        assert batch.source.key not in printed
        assert "Erased" not in printed


def test_an_execution_for_an_object_elsewhere_does_not_stop_the_reconciler(place: Place) -> None:
    """Somebody started it by hand, for a bucket that the pipeline may not read."""
    batch = ways.published(place)
    stray = {**batch.to_input(), "source": {**batch.to_input()["source"], "bucket": "of-somebody-else"}}
    arn = place.outputs()["state_machine_arn"]
    stray_name = "by-hand"
    place.step_functions()._client.start_execution(stateMachineArn=arn, name=stray_name, input=json.dumps(stray))
    end(stray_name, "FAILED", "SomeError", ago=timedelta(hours=1))
    pipeline, patience = restarts.pipeline_of(place), restarts.patience()  # type: ignore[arg-type]
    execution = describe(pipeline.step_functions, arn, stray_name)
    assert execution is not None
    assert not is_gone(pipeline, "orders", batch.batch_id, BatchState.NOT_NOTIFIED, execution, patience)
