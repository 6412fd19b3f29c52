"""The limits of retries: history events, time, and how long a task waits for a free Lambda slot.

docs/reference/guarantees.md states the figures. The tests calculate them from the definition, so a changed
retrier changes them.
"""

import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from functions.common.batch_state import Patience
from functions.common.planning import MAX_CHUNKS
from pipeline import ROOT
from pipeline.deploy.variables import defaults
from tests.statemachine import definition as asl
from tests.statemachine.throttling_simulation import THROTTLED, Account, Execution, simulate

DEFINITION = asl.load()
LAMBDA_TASKS = {name: task for name, task in asl.tasks(DEFINITION).items() if task["Resource"] == asl.LAMBDA}
HISTORY_LIMIT = 25_000
"""Events of an execution: step-functions/latest/dg/service-quotas.html. Nothing catches the end that AWS then makes."""

STUCK = Patience(datetime.now(UTC), timedelta(minutes=15)).stuck.total_seconds()
TEXT = " ".join((ROOT / "docs" / "reference" / "guarantees.md").read_text("utf-8").split())

SECONDS = {"starter": 0.5, "validate": 4.0, "transform": 2.0, "write": 8.0, "record_run": 0.8}
"""Of a file of five chunks of 64 MiB: about twice what docs/reference/limits.md calculates, cold starts included."""

A_NEW_ACCOUNT = 10
"""Lambda calls at once."""


def simulated(definition: asl.Definition, factor: float, seed: int) -> tuple[Account, list[Execution]]:
    seconds = {function: factor * each for function, each in SECONDS.items()}
    return simulate(definition, files=20, chunks=5, places=A_NEW_ACCOUNT, seconds=seconds, seed=seed)


def without_own_retrier() -> asl.Definition:
    """The definition as it would be if throttling shared the retrier of Lambda's other faults."""
    definition = deepcopy(DEFINITION)
    for task in asl.tasks(definition).values():
        task["Retry"] = [retrier for retrier in task["Retry"] if retrier["ErrorEquals"] != [THROTTLED]]
        for retrier in task["Retry"]:
            if "Lambda.ServiceException" in retrier["ErrorEquals"]:
                retrier["ErrorEquals"].append(THROTTLED)
    return definition


# --- events -----------------------------------------------------------------------------------------------------------


def test_the_history_of_the_most_chunks_is_within_the_limit_with_all_retries_used_up() -> None:
    most = asl.max_events(DEFINITION, MAX_CHUNKS)
    assert most <= HISTORY_LIMIT, (
        f"{MAX_CHUNKS} chunks may have {most} events: lower MAX_CHUNKS in functions/common/planning.py, or MaxAttempts"
    )


def test_the_largest_default_file_is_cut_into_chunks_of_chunk_bytes() -> None:
    """MAX_CHUNKS is high enough to cut a file of the maximum default size into chunks of `chunk_bytes`."""
    assert MAX_CHUNKS * int(defaults()["chunk_bytes"]) >= int(defaults()["max_object_bytes"])


def test_the_definition_keeps_the_budget_that_the_documents_state() -> None:
    stated = re.search(r"at most (\d+) events for each chunk, and (\d+) other events", TEXT)
    assert stated, "docs/reference/guarantees.md no longer states the budget of events"
    for_a_chunk, for_the_rest = map(int, stated.groups())
    rest = asl.max_events(DEFINITION, 0)
    assert asl.max_events(DEFINITION, 1) - rest <= for_a_chunk
    assert rest <= for_the_rest
    assert MAX_CHUNKS * for_a_chunk + for_the_rest <= HISTORY_LIMIT
    assert f"at most {MAX_CHUNKS} chunks (`MAX_CHUNKS`)" in TEXT


# --- throttling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_throttling_has_its_own_retrier(name: str) -> None:
    retrier = asl.retrier_of(LAMBDA_TASKS[name], THROTTLED)
    assert retrier
    assert retrier["ErrorEquals"] == [THROTTLED], "other faults would use up its retries"


@pytest.mark.parametrize("factor", [pytest.param(1, id="as calculated"), pytest.param(4, id="four times as slow")])
def test_twenty_files_of_five_chunks_all_publish_in_a_new_account(factor: int) -> None:
    for seed in range(20):
        account, executions = simulated(DEFINITION, factor, seed)
        assert account.refused > 100, "nearly every call found a free slot, so this test shows nothing"
        assert not [execution for execution in executions if execution.failed], f"seed {seed}"
        last = max(execution.ended or 0 for execution in executions)
        assert last < min(STUCK, DEFINITION["TimeoutSeconds"]), "the reconciler would call it stuck"
        assert max(execution.events for execution in executions) < asl.max_events(DEFINITION, 5)


def test_files_fail_in_a_new_account_if_throttling_has_no_retrier_of_its_own() -> None:
    """A check of the simulation itself: with six retries, files fail at any speed."""
    for factor in (1, 4):
        failed = [e.failed for seed in range(20) for e in simulated(without_own_retrier(), factor, seed)[1]]
        assert sum(failed) > 20, f"only {sum(failed)} of {len(failed)} files failed"


def test_the_simulation_throttles_no_call_if_slots_are_free() -> None:
    account, executions = simulate(DEFINITION, files=1, chunks=5, places=1000, seconds=SECONDS, seed=1)
    assert account.refused == account.busy == 0
    together = SECONDS["starter"] + SECONDS["validate"] + SECONDS["transform"] + SECONDS["write"]
    assert [execution.ended for execution in executions] == [together]


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_file_of_one_chunk_is_not_stuck_while_its_retriers_are_used_up() -> None:
    """Each step waits for all of its retries and then runs until its timeout."""
    steps = [task for name, task in LAMBDA_TASKS.items() if name != "RecordFailure"]
    waits = sum(chain.from_iterable(asl.waits(retrier) for task in steps for retrier in task["Retry"]))
    assert waits + sum(task["TimeoutSeconds"] for task in steps) < STUCK
    assert DEFINITION["TimeoutSeconds"] >= 2 * STUCK, "a stuck execution must be reported long before AWS ends it"


def test_alarm_and_documents_state_how_long_a_throttled_task_is_retried() -> None:
    """The alarm, the runbook and the documents. For events they state Lambda's own six hours."""
    retrier = asl.retrier_of(LAMBDA_TASKS["Validate"], THROTTLED)
    assert retrier
    minutes = f"{round(sum(asl.waits(retrier)) / 60)} minutes"
    for place, sentence in {
        "infra/alarms.tf": r"validate = \"Step Functions [^\"]*",
        "docs/guides/recover.md": r"Step Functions retries each throttled task [^.]*",
    }.items():
        [said] = re.findall(sentence, " ".join((ROOT / place).read_text("utf-8").split()))
        assert minutes in said, f"{place} does not say {minutes}"
