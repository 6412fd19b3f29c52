"""Builds the run record: the quantities that AWS bills for one execution, and their cost."""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from functions.common.documents.manifest import Manifest
from functions.common.documents.run_record import RunBytes, RunCost, RunPrices, RunRecord, RunStep, RunTransitions
from functions.common.pricing import s3_requests
from functions.common.pricing.costs import EXACT, GB, CostLine, Size, Work, gb_months, lines, rounded, text, total
from functions.common.pricing.prices import prices_for
from functions.common.pricing.s3_requests import Calls, Objects
from functions.record_run.history import BilledQuantities, Tries, without_history
from functions.record_run.run import Deployment, FinishedRun

CHUNK_FUNCTIONS = ("validate", "transform")
"""The functions that the Map runs for each chunk."""

ASSUMED_MS = {"starter": 200, "record_run": 500, "record_failure": 300}
"""The assumed duration of each function outside the state machine, which no history shows."""

LOG_BYTES_AN_EVENT, LOG_BYTES_A_CALL = 1000, 1200
"""The approximate log size of an event of the history with its data, and of a function call (two of our lines, some
metrics, and Lambda's START, END and REPORT)."""


def record(
    run: FinishedRun,
    history: BilledQuantities | None,
    staged: Sequence[tuple[str, int]],
    manifest: Manifest | None,
    deployment: Deployment,
) -> RunRecord:
    """Return the run record. `staged` has the name and size of each staged object; `manifest` is None if none exists.

    Without a history, typical values are assumed, and each step's `measured` says so.
    """
    objects = _objects(run, staged, manifest)
    history = history or _assumed(run, objects.chunks, manifest)
    prices = prices_for(deployment.region, deployment.architecture)
    steps, requests = _steps(run, history, deployment), _requests(run, history, objects)
    quantities = _quantities(history, requests, steps, objects, deployment)
    work = [Work(name, Size(s.memory_mb, s.disk_mb), s.tries, s.billed_ms) for name, s in steps.items()]
    cost = lines(work, quantities, prices)
    kept = objects.source + sum(objects.outputs) + (0 if deployment.staging_days else objects.staged_bytes)
    received = manifest.counts.received if manifest else 0
    return RunRecord(
        run_version=1,
        dataset=run.dataset,
        batch_id=run.batch_id,
        execution=run.execution,
        status=run.status,
        started_at=run.started_at,
        stopped_at=run.stopped_at,
        region=deployment.region,
        architecture=deployment.architecture,
        prices=RunPrices(dated=prices.dated, region=prices.region),
        steps=steps,
        transitions=RunTransitions(states=history.entered, retries=history.retries),
        s3_requests=requests,
        bytes=RunBytes(source=objects.source, staged=objects.staged_bytes, published=sum(objects.outputs)),
        cost=tuple(map(_run_cost, cost)),
        usd=text(total(cost)),
        records=received,
        usd_for_1000_records=text(rounded(Fraction(total(cost)) * 1000 / received)) if received else None,
        usd_a_month_kept=text(EXACT.multiply(rounded(gb_months(kept)), prices.usd["s3_gb_month"])),
    )


def _run_cost(line: CostLine) -> RunCost:
    return RunCost(
        item=line.item,
        quantity=text(line.quantity),
        price_of=line.price_of,
        price=text(line.price),
        usd=text(line.usd),
    )


def function_of(state: str) -> str:
    """Return the name of the function that a state invokes. For example, RecordFailure invokes `record_failure`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", state).lower()


def _steps(run: FinishedRun, history: BilledQuantities, deployment: Deployment) -> dict[str, RunStep]:
    """Return the invocations by state, or by function for functions outside the state machine."""

    def step(functions: tuple[str, ...], tries: int, billed_ms: int, measured: str, unfinished: int = 0) -> RunStep:
        size = max((deployment.sizes[function] for function in functions), key=lambda size: size.memory_mb)
        return RunStep(
            functions=functions,
            tries=tries,
            billed_ms=billed_ms,
            measured=measured,
            unfinished=unfinished,
            memory_mb=size.memory_mb,
            disk_mb=size.disk_mb,
        )

    steps = {}
    for state, tries in history.tries.items():
        measured = "execution" if tries.is_assumed else "span" if tries.is_span else "history"
        steps[state] = step(_functions(state, tries), tries.number, tries.billed_ms, measured, tries.unfinished)
    outside = ["starter", "record_run", *([] if run.status == "SUCCEEDED" else ["record_failure"])]
    return steps | {function: step((function,), 1, ASSUMED_MS[function], "assumed") for function in outside}


def _assumed(run: FinishedRun, chunks: int, manifest: Manifest | None) -> BilledQuantities:
    failed, has_rejects = run.status != "SUCCEEDED", manifest is not None and manifest.rejects is not None
    return without_history(chunks, run.milliseconds, failed=failed, notifications=int(failed or has_rejects))


def _functions(state: str, tries: Tries) -> tuple[str, ...]:
    return CHUNK_FUNCTIONS if tries.is_span else (function_of(state),)


def _objects(run: FinishedRun, staged: Sequence[tuple[str, int]], manifest: Manifest | None) -> Objects:
    chunks = run.chunks or sum(name == "counts.json" for name, _ in staged)
    if manifest is None:
        return Objects(chunks, run.source_bytes, staged)
    outputs = [file.bytes for file in manifest.outputs]
    return Objects(chunks, manifest.source.size, staged, outputs, manifest.counts.superseded)


def _requests(run: FinishedRun, history: BilledQuantities, objects: Objects) -> Calls:
    """Return the S3 requests of a whole execution. A retried step is assumed to make all of its requests again."""
    tried: dict[str, Fraction] = {}
    for state, tries in history.tries.items():
        functions = _functions(state, tries)
        tried |= dict.fromkeys(functions, Fraction(tries.number, len(functions)))
    requests = sum(
        s3_requests.OUTSIDE_MACHINE.values(), Calls(put=len(objects.staged) // 1000)
    )  # further pages of the listing
    for function, once in s3_requests.calls_of(objects).items():
        planned = objects.chunks if function in CHUNK_FUNCTIONS else 1
        if number := tried.get(function):
            requests += once.times(max(Fraction(1), number / max(1, planned)))
    if number := tried.get("record_failure"):
        requests += s3_requests.FAILURE_IN_MACHINE.times(number)
    return requests + (Calls() if run.status == "SUCCEEDED" else s3_requests.FAILURE_OUTSIDE)


def _quantities(
    history: BilledQuantities, requests: Calls, steps: Mapping[str, RunStep], objects: Objects, deployment: Deployment
) -> dict[str, int | Fraction]:
    outside = sum(step.measured == "assumed" for step in steps.values())
    log_bytes = history.events * LOG_BYTES_AN_EVENT + sum(step.tries for step in steps.values()) * LOG_BYTES_A_CALL
    days = deployment.staging_days + 1 if deployment.staging_days else 0  # and one day as a noncurrent version
    return {
        "state_transition": history.transitions,
        "s3_put": requests.put,
        "s3_get": requests.get,
        "s3_gb_month": gb_months(objects.staged_bytes, days),
        "sns_publish": history.publishes,
        "log_gb": Fraction(log_bytes, GB),
        "trace": 1 + outside,
    }
