"""Deployed contracts: several versions in one file, and `pipeline validate` on a file before its upload."""

import json
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import asdict

from functions.common.documents.chunk_counts import DriftCount, VersionCounts
from tests.e2e.conftest import Pipeline
from tests.unit.orders import lines, order, order_2

MIXED = lines(
    [
        *(order(order_id=f"one-{n}") for n in range(10)),
        *(order_2(order_id=f"two-{n}", currency="eur") for n in range(10)),
        order_2(order_id="strange", coupon="WELCOME"),
    ]
)


def test_one_file_may_hold_several_versions_and_unknown_fields_are_reported(pipeline: Pipeline) -> None:
    outcome = pipeline.run(MIXED, "versions.jsonl")
    assert outcome.manifest, outcome.cause
    assert outcome.manifest.counts.published == 20
    assert outcome.manifest.records_by_version == {
        "1": VersionCounts(valid=10, rejected=0),
        "2": VersionCounts(valid=10, rejected=1),
    }
    (drift,) = outcome.manifest.drift
    assert drift == DriftCount(contract_version=2, field="/coupon", records=1, dropped=False)


def test_validate_predicts_the_result_on_the_deployment(
    pipeline: Pipeline, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    path = tmp_path / "tried.jsonl"
    path.write_bytes(MIXED)
    status, printed = command("validate", str(path), "--json")
    outcome = pipeline.run(MIXED, path.name)
    assert outcome.manifest, outcome.cause
    assert (status, json.loads(printed)["manifest"]["counts"]) == (0, asdict(outcome.manifest.counts))
    status, printed = command("validate", str(path))
    assert f"by the rules of {pipeline.place.outputs()['name']}, release {outcome.manifest.release}" in printed
