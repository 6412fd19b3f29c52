"""Run a batch as the state machine does, including the failure branch, and check the outcome and every record."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from awslambdaric.bootstrap import build_fault_result

from functions.common import errors
from functions.common.batch import Batch
from functions.common.contract import LINEAGE
from functions.common.errors import PipelineError
from functions.record_failure import index as record_failure
from tests import harness
from tests.unit.orders import CONTRACT, Order, line_total, tables

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
PUBLISHED = ("manifests/", "processed/", "tables/")


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    batch: Batch
    result: Mapping[str, Any]
    """The result of `write` or `record_failure`."""
    lambda_error: Mapping[str, Any] | None
    """The error as Lambda reports it: errorType, errorMessage, stackTrace."""


def execute(batch: Batch) -> Outcome:
    """Run the steps of a batch. If one fails, run the failure branch with the error as Lambda would report it."""
    try:
        return Outcome(batch, harness.run_steps(batch), None)
    except Exception:
        lambda_error = build_fault_result(sys.exc_info(), None)
    failure = {"Error": lambda_error["errorType"], "Cause": json.dumps(lambda_error)}
    result = record_failure.handler({"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure})
    return Outcome(batch, result, lambda_error)


def check_failed(outcome: Outcome, error: type[PipelineError], rejects: int = 0) -> str:
    """Check that a file failed as a whole with this error and this many stored rejects. Returns the cause."""
    batch, lambda_error = outcome.batch, outcome.lambda_error
    assert lambda_error, f"the file was published instead of failing with {error.__name__}"
    assert lambda_error["errorType"] == error.__name__, (
        f"must fail with {error.__name__}: {lambda_error['errorMessage']}"
    )
    assert isinstance(vars(errors)[lambda_error["errorType"]], type), (
        "the error must be a class of functions/common/errors.py"
    )
    left = [key for key in harness.keys("") if not key.startswith("staging/")]
    failure_key = batch.failure_key(batch.batch_id)
    assert left == sorted([failure_key, *([batch.rejected_key] if rejects else [])]), (
        "a failed batch must leave no other objects"
    )
    record = json.loads(harness.get(failure_key))
    assert (record["error"], record["cause"], record["published"]) == (
        error.__name__,
        lambda_error["errorMessage"],
        False,
    )
    assert record["next_step"] == error.next_step
    assert record["cause"], "the failure record must have a cause"
    assert len(harness.rejects(batch)) == rejects
    assert record["rejects"] == (f"s3://{harness.PROCESSED}/{batch.rejected_key}" if rejects else None)
    assert error.__name__ in outcome.result["subject"]
    for part in (record["cause"], record["next_step"], batch.source.key, failure_key):
        assert part in outcome.result["message"], f"the notification must contain {part!r}"
    return str(record["cause"])


def check_published(
    outcome: Outcome,
    good: Sequence[Order],
    reasons: Mapping[str, int],
    folder: Path,
    superseded: Sequence[Order] = (),
) -> list[dict[str, Any]]:
    """Check that the counts add up and that exactly the `good` orders are published. Returns the rejects.

    `reasons` counts the rejected records by code. `superseded` are the orders whose key occurs again later.
    """
    batch = outcome.batch
    assert outcome.lambda_error is None, outcome.lambda_error
    assert not harness.keys("failures/")
    manifest = harness.manifest(batch)
    counts = manifest["counts"]
    assert counts["received"] == counts["valid"] + counts["rejected"]
    assert counts["valid"] == counts["published"] + counts["superseded"]
    assert (counts["published"], counts["superseded"]) == (len(good), len(superseded))
    assert (manifest["rejected_by_reason"], counts["rejected"]) == (dict(reasons), sum(reasons.values()))
    _check_totals(manifest["control_totals"], good, superseded)
    expected = tables(good)
    for table, rows in expected.items():
        lineage = {column.name for column in LINEAGE}
        found = [{k: v for k, v in row.items() if k not in lineage} for row in harness.table(batch, table, folder)]
        assert found == rows, f"table {table} must contain exactly the good records"
        assert [without(row, lineage) for row in harness.csv_rows(batch, table)] == [as_csv(row) for row in found]
    rejects = harness.rejects(batch)
    assert len(rejects) == counts["rejected"] + counts["superseded"]
    return rejects


def _check_totals(found: Mapping[str, Any], good: Sequence[Order], superseded: Sequence[Order]) -> None:
    def sums(records: Sequence[Order]) -> dict[str, Decimal]:
        return {
            "total_amount": sum((Decimal(repr(record["total_amount"])) for record in records), Decimal(0)),
            "line_total": sum((line_total(line) for record in records for line in record["items"]), Decimal(0)),
        }

    assert found.keys() == {total.name for total in CONTRACT.control_totals}
    published, lost = sums(good), sums(superseded)
    for name, total in found.items():
        exact = {side: Decimal(text) for side, text in total.items()}
        assert exact["published"] == published[name]
        assert exact["superseded"] == lost[name]
        assert exact["validated"] == exact["published"] + exact["superseded"]


def without(row: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def as_csv(row: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a row: strings are safe for a spreadsheet, numbers and times are unchanged."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULAS) else value
    if hasattr(value, "isoformat"):
        return f"{value.isoformat(timespec='microseconds')}Z"
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
