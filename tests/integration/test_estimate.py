"""`pipeline estimate`: sums, units, errors about arguments; assumptions compared with real runs."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from functions.common import executions
from functions.common.pricing.costs import EXACT, GB, total
from functions.common.pricing.s3_requests import STAGED
from functions.starter import index as starter
from pipeline import cli
from pipeline.cost import estimate
from pipeline.cost.estimate import Estimate, Question, a_month
from pipeline.errors import UsageError
from tests import harness
from tests.unit.orders import CONTRACT, lines, order

ASKED = Question(orders=200_000, files=1, bytes_an_order=650, region="eu-central-1", architecture="arm64")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `pipeline estimate`; returns exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", "estimate", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


def quantity(answer: Estimate, item: str) -> Decimal:
    return next(line.quantity for line in (*answer.runs, *answer.monthly) if line.item == item)


# --- sums and units ---------------------------------------------------------------------------------------------------


def test_the_printed_sums_are_the_sums_of_the_lines(command: Run) -> None:
    status, out, _ = command("--orders", "200000", "--files", "10")
    assert status == 0
    answer = estimate.estimate(replace(ASKED, files=10))
    summary = dict(re.findall(r"(\w+)=(\S+)", out.splitlines()[-1]))
    once = sum((line.quantity * line.price for line in answer.runs), Decimal(0))
    fixed = sum((line.quantity * line.price for line in answer.monthly), Decimal(0))
    assert float(summary["usd"]) == pytest.approx(float(once))
    assert float(summary["usd_a_month"]) == pytest.approx(float(once * 30 + fixed))
    assert float(summary["usd_for_1000_orders"]) == pytest.approx(float(once / 200))
    assert Decimal(summary["usd"]) == total(answer.runs), "exact, not as the table rounds it"
    for line in (*answer.runs, *answer.monthly):
        assert line.item in out
    assert f"{total(answer.runs):,.6f}" in out


def test_a_month_is_thirty_times_the_same() -> None:
    runs = estimate.estimate(ASKED).runs
    assert total(a_month(runs)) == EXACT.multiply(total(runs), Decimal(30))


def test_twice_the_files_of_the_same_size_cost_twice_as_much() -> None:
    one, two = estimate.estimate(ASKED), estimate.estimate(replace(ASKED, orders=400_000, files=2))
    assert total(two.runs) == pytest.approx(total(one.runs) * 2)
    assert two.kept_bytes == 2 * one.kept_bytes


def test_more_bytes_cost_more_and_more_files_too() -> None:
    base, longer = estimate.estimate(ASKED), estimate.estimate(replace(ASKED, bytes_an_order=1300))
    many = estimate.estimate(replace(ASKED, files=1000))
    assert longer.kept_bytes == pytest.approx(2 * base.kept_bytes)
    assert total(longer.runs) > total(base.runs)
    assert total(many.runs) > total(base.runs)
    assert total(many.monthly) > total(base.monthly)


def test_chunks_and_transitions_follow_from_the_bytes() -> None:
    answer = estimate.estimate(ASKED)
    assert ASKED.file_bytes == 130_000_000
    assert answer.chunks == 2, "of 64 MiB"
    assert quantity(answer, "state transitions") == 5 + 2 * 2
    assert quantity(answer, "function calls") == 2 * 2 + 1 + 2
    staged = Decimal(str(sum(estimate.SHARES_STAGED.values()))) * 130_000_000 * 8 / 30 / GB
    assert quantity(answer, "staging, until it expires") == pytest.approx(staged, rel=Decimal("0.001"))


def test_arm_costs_less_and_regions_have_their_own_prices() -> None:
    base = total(estimate.estimate(ASKED).runs)
    assert total(estimate.estimate(replace(ASKED, architecture="x86_64")).runs) > base
    assert total(estimate.estimate(replace(ASKED, region="us-east-1")).runs) != base


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--orders", "0"], "greater than or equal to 1"),
        (["--orders", "5", "--files", "0"], "greater than or equal to 1"),
        (["--orders", "many"], "Invalid value for '--orders'"),
        ([], "Missing option '--orders'"),
        (["--orders", "3", "--files", "4"], "3 orders can't fill 4 files"),
        (["--orders", "5", "--region", "xx-nowhere-9"], "The prices of xx-nowhere-9 are not known"),
        (["--orders", "5", "--architecture", "z80"], "--architecture must be one of arm64, x86_64, not z80"),
        (["--orders", "5", "--bytes-per-order", "0"], "greater than or equal to 1"),
        (["--orders", "100000000"], "max_object_bytes allows only 5,368,709,120"),
    ],
)
def test_a_wrong_argument_is_explained(command: Run, arguments: list[str], message: str) -> None:
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "next:" in err


def test_the_advice_for_too_large_files_gives_a_number_that_works() -> None:
    with pytest.raises(UsageError) as refused:
        estimate.estimate(replace(ASKED, orders=100_000_000))
    files = re.search(r"--files (\d+)", refused.value.next_step)
    assert files
    estimate.estimate(replace(ASKED, orders=100_000_000, files=int(files[1])))


# --- assumptions ------------------------------------------------------------------------------------------------------


def test_every_function_has_a_size_from_infra() -> None:
    """A wrong reading of variables.tf would estimate other functions."""
    sizes = estimate.function_sizes()
    assert sizes.keys() == {p.parent.name for p in Path(starter.__file__).parents[1].glob("*/index.py")}
    assert all(size.memory_mb >= 128 and size.disk_mb >= 512 for size in sizes.values())


def test_a_faster_benchmark_gives_a_lower_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = total(estimate.estimate(ASKED).runs)
    measured = {step: seconds / 2 for step, seconds in estimate.cpu_seconds_a_gb().items()}
    monkeypatch.setattr(estimate, "RESULTS", tmp_path / "latest.json")
    estimate.RESULTS.write_text(json.dumps({"cpu_seconds_per_gb": {**measured, "total": sum(measured.values())}}))
    assert estimate.cpu_seconds_a_gb() == measured
    assert total(estimate.estimate(ASKED).runs) < before


@pytest.mark.usefixtures("aws")
def test_the_objects_match_those_of_a_run() -> None:
    batch = harness.run(lines([order(order_id=str(number)) for number in range(5)]))
    assert {key.rpartition("/")[2] for key in harness.keys("staging/")} == set(estimate.SHARES_STAGED)
    assert set(STAGED) <= set(estimate.SHARES_STAGED)
    kinds = {f"{table.name}.{kind}" for table in CONTRACT.tables for kind in ("parquet", "csv")}
    assert set(estimate.SHARES_PUBLISHED) == kinds
    assert harness.manifest(batch)["rejects"] is None


@pytest.mark.usefixtures("aws")
def test_the_metrics_match_those_of_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of the starter, write and record_run (which has its own test); each costs by the month."""
    monkeypatch.setattr(executions, "start", lambda *_: True)
    source = harness.upload(lines([order()]))
    thing: dict[str, Any] = {
        "key": source.key,
        "size": 1,
        "versionId": source.version_id,
        "eTag": "e",
        "sequencer": "1",
    }
    event = {"eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00.000Z"}
    starter.handler({"Records": [{**event, "s3": {"bucket": {"name": source.bucket}, "object": thing}}]})
    harness.run_steps(harness.plan(source))
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    names = {m["Name"] for line in emitted for d in line["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]}
    assert len(names | {"EstimatedCostUSD"}) == estimate.METRICS_OF_RUNS
