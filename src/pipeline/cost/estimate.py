"""Estimates the cost of processing files, without a deployment.

The run record (functions/record_run) uses the same formulas, prices and request counts. The quantities that it
measures are replaced by the assumptions in the constants below.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from functions.common.planning import plan_chunks
from functions.common.pricing.costs import DAYS_A_MONTH, GB, CostLine, Size, Work, gb_months, gb_seconds, lines, rounded
from functions.common.pricing.prices import prices_for
from functions.common.pricing.s3_requests import OUTSIDE_MACHINE, PART, STAGED, Calls, Objects, calls_of
from functions.record_run.history import EVENTS_A_CHUNK, EVENTS_A_FILE, STATES_A_CHUNK, STATES_A_FILE
from functions.record_run.record import ASSUMED_MS, CHUNK_FUNCTIONS, LOG_BYTES_A_CALL, LOG_BYTES_AN_EVENT
from pipeline import ROOT
from pipeline.deploy import variables
from pipeline.errors import UsageError

BYTES_AN_ORDER = 650
"""The assumed bytes per line. Lines from src/generate_data.py have 654 bytes on average."""

SHARES_STAGED = {
    **{"records.parquet": 0.080, "rejected.jsonl": 0.0, "counts.json": 0.0},
    **{"orders.parquet": 0.046, "customers.parquet": 0.038, "items.parquet": 0.043},
}
SHARES_PUBLISHED = {
    **{"orders.parquet": 0.022, "customers.parquet": 0.005, "items.parquet": 0.022},
    **{"orders.csv": 0.256, "customers.csv": 0.040, "items.csv": 0.476},
}
"""The size of each object as a share of its source's size, measured with 20,000 valid generated orders."""

FULL_CORE_MB = 1769
"""The memory in MB at which a function has one full vCPU. A step uses at most one vCPU."""
COLD_MS = {"starter": 300, "validate": 500, "transform": 600, "write": 600, "record_run": 300}
"""The duration of a cold start in milliseconds. The estimate assumes one per function and file."""
MS_A_CALL, MS_A_REQUEST, WRITE_FETCHES_AT_ONCE = 50, 25, 16
BYTES_A_SECOND = 75_000_000
"""The transfer rate between a function and S3. The estimate assumes that transfer and computation don't overlap."""

TRACES_A_FILE = 3

METRICS_OF_RUNS, METRICS_OF_THE_RECONCILER, ALARM_METRICS, DASHBOARDS = 7, 2, 19, 1
"""The number of custom metrics of runs without rejects and of the reconciler, of metrics in alarms, and dashboards."""
RECONCILER_MS, RECONCILED_DAYS, RUNS_A_DAY = 1000, 3, 24
RESULTS = ROOT / "bench" / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class Question:
    """The load to estimate. Functions have the default sizes in infra/variables.tf."""

    orders: int
    files: int
    bytes_an_order: int
    region: str
    architecture: str

    @property
    def file_bytes(self) -> int:
        return ceil(self.orders * self.bytes_an_order / self.files)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated cost of a load. All amounts are exact, in USD."""

    dated: str
    chunks: int
    """The number of chunks per file."""
    runs: list[CostLine]
    """The cost of processing all files once."""
    monthly: list[CostLine]
    """All other costs of a month in which the same number of files arrives every day."""
    kept_bytes: int
    """The total size of sources and published outputs, without staged objects, which expire."""
    kept: CostLine
    """The cost of storing `kept_bytes` for a month."""


def estimate(question: Question) -> Estimate:
    """Estimate the cost of a load. Raises UsageError if the pipeline would not accept its files."""
    _check(question)
    prices = prices_for(question.region, question.architecture)
    _, last_chunk = plan_chunks(question.file_bytes, int(variables.defaults()["chunk_bytes"]))
    objects = _objects(question.file_bytes, last_chunk + 1)
    requests = calls_of(objects)
    work = _work(question, objects, requests)
    runs = lines(work, _quantities(question, objects, requests), prices)
    kept_bytes = question.files * (objects.source + sum(objects.outputs))
    kept = CostLine("storage", rounded(gb_months(kept_bytes)), "s3_gb_month", prices.usd["s3_gb_month"])
    return Estimate(prices.dated, objects.chunks, runs, monthly(question), kept_bytes, kept)


def _check(question: Question) -> None:
    if question.files > question.orders:
        raise UsageError(
            f"{question.orders:,} orders can't fill {question.files:,} files, and a file without an order fails.",
            "Set --orders to the total number of orders in all files.",
        )
    most = int(variables.defaults()["max_object_bytes"])
    if question.file_bytes > most:
        raise UsageError(
            f"Each file would have {question.file_bytes:,} bytes, but max_object_bytes allows only {most:,}.",
            "Split the orders into more files: --files "
            f"{ceil(question.orders * question.bytes_an_order / most)} or more.",
        )


def _objects(file_bytes: int, chunks: int) -> Objects:
    """Return the objects that are read and written to process one file."""
    chunk = Fraction(file_bytes, chunks)
    staged = [(name, ceil(chunk * Fraction(share))) for _ in range(chunks) for name, share in SHARES_STAGED.items()]
    outputs = [ceil(file_bytes * share) for share in SHARES_PUBLISHED.values()]
    return Objects(chunks, file_bytes, staged, outputs)


def _work(question: Question, objects: Objects, requests: Mapping[str, Calls]) -> list[Work]:
    sizes, cpu = function_sizes(), cpu_seconds_a_gb()
    work = []
    for function in (*CHUNK_FUNCTIONS, "write"):
        calls = objects.chunks if function in CHUNK_FUNCTIONS else 1
        core = min(1.0, sizes[function].memory_mb / FULL_CORE_MB)
        computing = objects.source / 1e9 * cpu[function] / core
        moving = _bytes_moved(function, objects) / BYTES_A_SECOND
        at_once = WRITE_FETCHES_AT_ONCE if function == "write" else 1
        asking = MS_A_REQUEST * (requests[function].put + requests[function].get / at_once)
        billed = ceil(1000 * (computing + moving) + asking + MS_A_CALL * calls + COLD_MS[function])
        work.append(Work(function, sizes[function], calls * question.files, billed * question.files))
    for function in OUTSIDE_MACHINE:
        billed = ASSUMED_MS[function] + COLD_MS[function]
        work.append(Work(function, sizes[function], question.files, billed * question.files))
    return work


def _bytes_moved(function: str, objects: Objects) -> int:
    """Return the number of bytes that a function transfers from and to S3 for one file."""
    moved = {"validate": objects.source, "write": sum(objects.outputs)}.get(function, 0)
    for name, size in objects.staged:
        staged = STAGED.get(name, PART)
        is_read = staged.read_by == function and staged.read(size) != Calls()
        moved += size * ((staged.written_by == function) + is_read)
    return moved


def _quantities(question: Question, objects: Objects, requests: Mapping[str, Calls]) -> dict[str, int | Fraction]:
    made = sum((*requests.values(), *OUTSIDE_MACHINE.values()), Calls(put=len(objects.staged) // 1000))
    chunks, days = objects.chunks, int(variables.defaults()["retention_days"]["staging"]) + 1
    invocations = len(CHUNK_FUNCTIONS) * chunks + 1 + len(OUTSIDE_MACHINE)
    log_bytes = LOG_BYTES_AN_EVENT * (EVENTS_A_FILE + EVENTS_A_CHUNK * chunks) + LOG_BYTES_A_CALL * invocations
    a_file: dict[str, int | Fraction] = {
        "state_transition": STATES_A_FILE + STATES_A_CHUNK * chunks,
        "s3_put": made.put,
        "s3_get": made.get,
        "s3_gb_month": gb_months(objects.staged_bytes, days),
        "log_gb": Fraction(log_bytes, GB),
        "trace": TRACES_A_FILE,
    }
    return {price: quantity * question.files for price, quantity in a_file.items()}


def monthly(question: Question) -> list[CostLine]:
    """Return the monthly costs of the reconciler, metrics, alarms and dashboard. With 0 files, the deployment is idle.

    Every hour, the reconciler checks each file from the last three days.
    """
    prices, size = prices_for(question.region, question.architecture), function_sizes()["reconciler"]
    looked_at, runs = RECONCILED_DAYS * question.files, RUNS_A_DAY * DAYS_A_MONTH
    milliseconds = runs * (RECONCILER_MS + ceil(MS_A_REQUEST * looked_at / WRITE_FETCHES_AT_ONCE))
    hours = min(24, question.files)  # CloudWatch charges for each hour in which a metric is sent
    some: list[tuple[str, str, int | Fraction]] = [
        ("the reconciler", "lambda_gb_second", gb_seconds(milliseconds, size.memory_mb)),
        ("the reconciler's calls", "lambda_request", runs),
        ("the reconciler's listings", "s3_put", runs * (1 + looked_at // 1000)),
        ("the reconciler's looks", "s3_get", runs * looked_at),
        ("metrics", "metric_month", METRICS_OF_THE_RECONCILER + Fraction(METRICS_OF_RUNS * hours, 24)),
        ("alarms", "alarm_month", ALARM_METRICS),
        ("the dashboard", "dashboard_month", DASHBOARDS),
    ]
    return [CostLine(item, rounded(quantity), price, prices.usd[price]) for item, price, quantity in some]


def a_month(some: list[CostLine]) -> list[CostLine]:
    """Return the given cost lines for a month of daily runs."""
    return [
        CostLine(line.item, rounded(Fraction(line.quantity) * DAYS_A_MONTH), line.price_of, line.price) for line in some
    ]


def cpu_seconds_a_gb() -> dict[str, float]:
    """Return the CPU-seconds per 10⁹ bytes of input for each step, as measured by `make bench`."""
    measured: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return {step: float(measured["cpu_seconds_per_gb"][step]) for step in (*CHUNK_FUNCTIONS, "write")}


def function_sizes() -> dict[str, Size]:
    """Return the default memory and /tmp size of each function, in MB."""
    values = variables.defaults()
    memory, disk = values["memory_mb"], values["ephemeral_storage_mb"]
    return {function: Size(int(memory[function]), int(disk[function])) for function in memory}


def total_for_1000(usd: Decimal, orders: int) -> Decimal:
    """Return the cost of 1,000 orders in USD, rounded to 15 decimal places."""
    return rounded(Fraction(usd) * 1000 / orders)
