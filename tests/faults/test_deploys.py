"""A bad release fails its batches and publishes nothing; rolled back, a replay publishes what should have been."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from functions.common import s3_utils
from functions.common.contract import Contract, load_contract
from functions.transform import index as transform
from tests.faults import ledger
from tests.faults.cloud import HANDLERS
from tests.faults.inject import Call, Fault
from tests.faults.releases import raising
from tests.faults.scenes import Scene
from tests.faults.table import survives


def with_sql(table: str, change: Callable[[str], str]) -> Callable[[Any], Any]:
    """A release of `transform` in which the SELECT of a table was changed."""

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
def test_a_bad_transform_publishes_nothing(scene: Scene, release: str) -> None:
    cloud = scene.again()
    cloud.functions["transform"], error = BAD[release]
    cloud.settle()
    assert [(execution.status, execution.error) for execution in cloud.executions] == [("FAILED", error)]
    assert not cloud.waits, "it fails at once"
    assert len(ledger.check(cloud).failed) == 1
    scene.replay_publishes()


@survives("bad deploy")
@pytest.mark.parametrize("stage", ["before the manifest", "in the middle"])
def test_what_a_bad_write_left_half_done_is_replaced(scene: Scene, stage: str) -> None:
    """Its files are not what they should be; only a commit would have made them count."""
    cloud, upload = scene.again(), s3_utils.Storage.upload

    def longer_by_a_byte(storage: s3_utils.Storage, path: Path, *place: Any) -> Any:
        path.write_bytes(path.read_bytes() + b"?")
        return upload(storage, path, *place)

    def bad(event: Any) -> Any:
        with patch.object(s3_utils.Storage, "upload", longer_by_a_byte):
            return HANDLERS["write"](event)

    def last(call: Call) -> bool:
        return call.place.startswith("manifests/" if stage == "before the manifest" else "processed/") and call.writes

    cloud.functions["write"] = bad
    cloud.injector.strike(Fault.KILL_BEFORE, last, 2)
    cloud.settle()
    assert ledger.check(cloud).failed
    left = {key: data for key, data in cloud.outputs().items() if key in scene.outputs}
    assert left
    assert all(data != scene.outputs[key] for key, data in left.items())
    scene.replay_publishes()
