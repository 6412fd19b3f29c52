"""A faulty release fails its batches and publishes nothing. After a rollback, a replay publishes the correct output."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from functions.common import s3_utils
from functions.common.contract import Contract, load_contract
from functions.transform import index as transform
from tests.faults import outcome_check
from tests.faults.fault_injection import Call, Fault
from tests.faults.fault_table import survives
from tests.faults.faulty_releases import raising
from tests.faults.scenarios import Scenario
from tests.faults.simulated_cloud import HANDLERS

pytestmark = pytest.mark.slow


def with_sql(table: str, change: Callable[[str], str]) -> Callable[[Any], Any]:
    """A release of `transform` with a changed SELECT of one table."""

    def changed(dataset: str, folder: Path) -> Contract:
        contract = load_contract(dataset, folder)
        tables = tuple(replace(t, sql=change(t.sql)) if t.name == table else t for t in contract.tables)
        return replace(contract, tables=tables)

    def function(event: Any) -> Any:
        with patch.object(transform, "load_contract", changed):
            return transform.handler(event)

    return function


BAD = {
    "raises": (raising("ContractError"), "ContractError"),
    "does not run": (with_sql("orders", lambda _: "SELECT no_such_column FROM records"), "ContractError"),
    "loses orders": (with_sql("orders", lambda sql: f"SELECT * FROM ({sql}) LIMIT 1"), "ReconciliationError"),
    "loses items": (with_sql("items", lambda sql: f"SELECT * FROM ({sql}) LIMIT 1"), "ReconciliationError"),
    "loses customers": (with_sql("customers", lambda sql: f"{sql} LIMIT 0"), "ReconciliationError"),
    "has orders twice": (with_sql("orders", lambda sql: f"{sql} UNION ALL {sql}"), "ReconciliationError"),
    "has items twice": (with_sql("items", lambda sql: f"{sql} UNION ALL {sql}"), "ReconciliationError"),
    "changes amounts": (
        with_sql("orders", lambda sql: f"SELECT * REPLACE (total_amount + 0.01 AS total_amount) FROM ({sql})"),
        "ReconciliationError",
    ),
}
"""Releases of transform, and the error that they end in."""


@survives("bad deploy")
@pytest.mark.parametrize("release", BAD)
def test_a_faulty_transform_publishes_nothing_until_rollback_and_replay(scenario: Scenario, release: str) -> None:
    cloud = scenario.again()
    cloud.functions["transform"], error = BAD[release]
    cloud.settle()
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    assert not cloud.waits, "it must fail without a retry"
    assert len(outcome_check.check(cloud).failed) == 1
    scenario.replay_publishes()


@survives("bad deploy")
@pytest.mark.parametrize("stage", ["before the manifest", "in the middle"])
def test_a_replay_replaces_the_incomplete_outputs_of_a_faulty_write(scenario: Scenario, stage: str) -> None:
    """Its files are wrong, but without a commit they do not count."""
    cloud, upload = scenario.again(), s3_utils.Storage.upload

    def longer_by_a_byte(storage: s3_utils.Storage, path: Path, *place: Any) -> Any:
        path.write_bytes(path.read_bytes() + b"?")
        return upload(storage, path, *place)

    def bad(event: Any) -> Any:
        with patch.object(s3_utils.Storage, "upload", longer_by_a_byte):
            return HANDLERS["write"](event)

    def last(call: Call) -> bool:
        return call.place.startswith("manifests/" if stage == "before the manifest" else "processed/") and call.writes

    cloud.functions["write"] = bad
    cloud.injector.inject(Fault.KILL_BEFORE, last, 2)
    cloud.settle()
    assert outcome_check.check(cloud).failed
    left = {key: data for key, data in cloud.outputs().items() if key in scenario.outputs}
    assert left
    assert all(data != scenario.outputs[key] for key, data in left.items())
    scenario.replay_publishes()
