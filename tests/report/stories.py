"""Batches as `collect_history` returns them: published, partly rejected after retries, failed, and hostile."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.common.batch import Source
from functions.common.documents.manifest import ControlTotalSums, Manifest
from functions.common.documents.run_record import RunCost
from functions.common.execution_history.outcomes import not_reached, read_steps
from functions.common.reject_lines import reject_line
from pipeline.inspect.batch_history.model import (
    Action,
    BatchHistory,
    Cost,
    Execution,
    Outcome,
    Output,
    Problem,
    Rejects,
)
from pipeline.inspect.batch_history.rejects import read_rejects
from tests import documents
from tests.statemachine import definition as asl
from tests.unit import histories
from tests.unit.histories import START, Book, Event

BATCH = "orders-0123456789abcdef0123456789abcdef"
SOURCE = Source("order-pipeline-dev-ingest-000000000000", "incoming/orders/x.jsonl", "v1", 528_000, "e", "1")
BUCKET = "order-pipeline-dev-processed-000000000000"
WRITTEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
_CONSOLE = "https://eu-central-1.console.aws.amazon.com/states/home#/v2/executions/details/x"
_LINES = (
    ("validate", "0.850000000000000", "lambda_gb_second", "0.0000133334", "0.00001133339"),
    ("write", "0.531250000000000", "lambda_gb_second", "0.0000133334", "0.000007083368750"),
    ("state transitions", "12", "state_transition", "0.000025", "0.0003"),
    ("S3 PUT and LIST", "29", "s3_put", "0.0000054", "0.0001566"),
)


def published() -> BatchHistory:
    """All of 830 records, with the local emulator's history, which shows nothing inside the Map."""
    return _story(Outcome.PUBLISHED, _embedded(), "SUCCEEDED", target="local", manifest=_manifest(830, 0, 0))


def partly_rejected() -> BatchHistory:
    """Two chunks with retries; 3 of 103 records are rejected, one is superseded."""
    actions = (
        Action("See why records were rejected.", f"pipeline rejects {BATCH}"),
        Action(
            "Have the records corrected. Send them in a new file, or in the file of rejects.",
            "pipeline replay --rejects FILE --apply",
        ),
    )
    return _story(
        Outcome.PARTLY_REJECTED,
        histories.troubled(),
        "SUCCEEDED",
        actions=actions,
        manifest=_manifest(103, 3, 1),
        rejects=rejects(show_values=False),
    )


def large() -> BatchHistory:
    """A file of 500 chunks, one of which was retried: the largest drawing."""
    return _story(Outcome.PUBLISHED, many_chunks(500, failing=3), "SUCCEEDED", manifest=_manifest(1_000_000, 0, 0))


def failed() -> BatchHistory:
    """Write was tried seven times. The first of two executions was stopped by hand."""
    error, cause = "TransientError", "S3 asked to slow down (SlowDown): PutObject of items.parquet."
    actions = (
        Action("Wait a few minutes, then run the batch again.", f"pipeline logs {BATCH}"),
        Action("After fixing the cause, run the batch again.", f"pipeline replay {BATCH} --apply"),
    )
    story = _story(Outcome.FAILED, write_fails(error, cause), "FAILED", actions=actions)
    stopped = execution(histories.aborted(), "ABORTED", error="ExecutionAborted", cause="Somebody stopped it.")
    again = replace(story.executions[0], name=f"{BATCH}-replay-1", replay=1, error=error, cause=cause)
    return replace(story, executions=(stopped, again))


def failed_by_rejects() -> BatchHistory:
    """More records are rejected than the limit allows."""
    error, cause = "TooManyRejectsError", "2 of 7 records were rejected, more than max_reject_ratio (0.1) allows."
    actions = (Action("Have the records corrected, and send the file again."),)
    story = _story(Outcome.FAILED, write_fails(error, cause, 1), "FAILED", actions=actions)
    run = replace(story.executions[0], error=error, cause=cause)
    return replace(story, executions=(run,), rejects=rejects(show_values=False))


def of_a_fork() -> BatchHistory:
    """Published by a state machine with another state after Write."""
    story = published()
    run = story.executions[0]
    at = next(number for number, step in enumerate(run.steps) if step.name == "Write") + 1
    enrich = replace(run.steps[at - 1], name="Enrich")
    run = replace(run, steps=(*run.steps[:at], enrich, *run.steps[at:]))
    return replace(story, executions=(run,))


def execution(events: list[Event], status: str, **changes: Any) -> Execution:
    """An execution with this history."""
    definition = asl.load()
    steps = read_steps(events, definition)
    members = ("item", "quantity", "price_of", "price", "usd")
    lines = tuple(RunCost(**dict(zip(members, line, strict=True))) for line in _LINES)
    finished = Execution(
        name=BATCH,
        arn=f"arn:aws:states:eu-central-1:1:execution:x:{BATCH}",
        replay=0,
        status=status,
        started=START,
        stopped=events[-1]["timestamp"],
        console_url=_CONSOLE,
        steps=steps,
        not_reached=not_reached(steps, definition),
        cost=Cost("0.00047501675875", "0.004611813191747572", lines),
    )
    return replace(finished, **changes)


def rejects(*, show_values: bool) -> Rejects:
    """Three rejects of two rules."""
    record = {
        "order_id": "10250",
        "customer": {"name": "Hanari Carnes", "email": "mario@example.com", "address": {"country": "Brazil"}},
        "items": [{"line_number": 1, "quantity": 10, "unit_price": 7.7}],
        "total_amount": 1552.61,
    }
    country = '/customer/address/country must be an ISO 3166-1 alpha-2 country code in upper case, for example "DE"'
    problems = [
        Problem("not_an_allowed_value", "/customer/address/country", "enum", country),
        Problem(
            "total_mismatch",
            "/total_amount",
            "total_mismatch",
            "/total_amount must be shipping_cost plus the sum of all",
        ),
        Problem("not_json", "", "json", "the record is not JSON from its character 26 on"),
    ]
    text = json.dumps(record).encode()
    return read_rejects(
        f"rejected/orders/ingest_date=2026-01-01/{BATCH}.jsonl",
        [
            reject(20481, problems[:2], text),
            reject(31772, problems[:1], text),
            reject(0, problems[2:], b'{"order_id": "half an order', readable=False),
        ],
        show_values=show_values,
    )


def reject(position: int, problems: list[Problem], record: bytes, *, readable: bool = True) -> bytes:
    """The line of a reject, as `validate` writes it."""
    return reject_line(
        batch_id=BATCH,
        contract_version=1,
        position=position,
        position_kind="byte",
        reason=problems[0].code,
        errors=[asdict(problem) for problem in problems],
        record=record,
        readable=readable,
    )


def write_fails(error: str, cause: str, tries: int = 7) -> list[Event]:
    """The history of an execution whose Write fails each time, so that the failure branch is taken."""
    book, failure = Book(), {"error": error, "cause": cause}
    at = book.add("ExecutionStarted", 0, 0, executionStartedEventDetails={"roleArn": "arn:aws:iam::1:role/x"})
    at = book.leave("Pass", "PlanChunks", 1, book.enter("Pass", "PlanChunks", 0, at))
    map_state = book.add(
        "MapStateStarted", 2, book.enter("Map", "ProcessChunks", 2, at), mapStateStartedEventDetails={"length": 1}
    )
    at = book.add(
        "MapIterationStarted", 3, map_state, mapIterationStartedEventDetails={"name": "ProcessChunks", "index": 0}
    )
    for name, ms in (("Validate", 10), ("Transform", 400)):
        at = book.end("Succeeded", ms + 300, book.begin(ms + 5, book.enter("Task", name, ms, at)))
        at = book.leave("Task", name, ms + 301, at)
    at = book.add(
        "MapIterationSucceeded", 702, at, mapIterationSucceededEventDetails={"name": "ProcessChunks", "index": 0}
    )
    at = book.leave("Map", "ProcessChunks", 703, book.add("MapStateSucceeded", 703, at))
    at, ms = book.enter("Task", "Write", 704, at), 710.0
    for number in range(tries):
        details = {"resourceType": "lambda", "resource": "invoke", **failure}
        at = book.add("TaskFailed", ms + 900, book.begin(ms, at), taskFailedEventDetails=details)
        ms += 900 + 2000 * 2**number if number + 1 < tries else 900
    at = book.leave("Task", "Write", ms, at)
    at = book.leave("Pass", "DescribeFailure", ms + 1, book.enter("Pass", "DescribeFailure", ms + 1, at))
    for name, service in (("RecordFailure", "lambda"), ("NotifyFailure", "sns")):
        at = book.end("Succeeded", ms + 200, book.begin(ms + 5, book.enter("Task", name, ms + 2, at), service))
        at, ms = book.leave("Task", name, ms + 201, at), ms + 201
    at = book.enter("Fail", "Failed", ms + 1, at)
    book.add("ExecutionFailed", ms + 1, at, executionFailedEventDetails=failure)
    return book.events


def many_chunks(number: int, failing: int) -> list[Event]:
    """A Map of many chunks, each slightly longer than the previous one; one of them was tried twice."""
    book = Book()
    at = book.add("ExecutionStarted", 0, 0)
    entered = book.enter("Map", "ProcessChunks", 1, at)
    started = book.add("MapStateStarted", 1, entered, mapStateStartedEventDetails={"length": number})
    for index in range(number):
        details = {"name": "ProcessChunks", "index": index}
        at = book.add("MapIterationStarted", 2, started, mapIterationStartedEventDetails=details)
        at = book.enter("Task", "Validate", 3, at)
        if index == failing:
            at = book.end("Failed", 5, book.begin(4, at))
        at = book.end("Succeeded", 100 + index, book.begin(10, at))
        at = book.leave("Task", "Validate", 101 + index, at)
        book.add("MapIterationSucceeded", 102 + index, at, mapIterationSucceededEventDetails=details)
    at = book.add("MapStateSucceeded", 1000, started)
    book.add("ExecutionSucceeded", 1001, book.leave("Map", "ProcessChunks", 1000, at))
    return book.events


def _embedded() -> list[Event]:
    """The local emulator's history of an execution, with the Choice before Published."""
    *events, _, _, _ = histories.embedded()
    ends = [("Choice", "AnyRejects"), ("Succeed", "Published")]
    book = Book()
    for kind, name in ends:
        book.leave(kind, name, 703, book.enter(kind, name, 702, 0))
    book.add("ExecutionSucceeded", 704, 0)
    later = [{**event, "id": number} for number, event in enumerate(book.events, len(events) + 1)]
    return [*events, *({name: part for name, part in event.items() if name != "previousEventId"} for event in later)]


def _manifest(received: int, rejected: int, superseded: int) -> Manifest:
    lost = "0.50" if superseded else "0"
    return documents.manifest(
        counts=documents.record_counts(received, rejected, superseded),
        rejected_by_reason={"not_an_allowed_value": rejected} if rejected else {},
        control_totals={
            "total_amount": ControlTotalSums(validated="1330736.48", superseded=lost, published="1330735.98"),
            "line_total": ControlTotalSums(validated="9", superseded="0", published="9"),
        },
    )


def _story(outcome: Outcome, events: list[Event], status: str, **changes: Any) -> BatchHistory:
    rows = {"orders": 830, "customers": 89, "items": 2155} if "manifest" in changes else {}
    run = execution(events, status)
    defaults: dict[str, Any] = {
        "asked": BATCH,
        "target": "aws",
        "batch_id": BATCH,
        "revision": 1,
        "dataset": "orders",
        "outcome": outcome,
        "actions": (),
        "source": SOURCE,
        "uploaded": START - timedelta(seconds=1),
        "is_source_there": True,
        "versions": (),
        "is_deleted": False,
        "revisions": (),
        "heard": (),
        "queued": (),
        "executions": (run,),
        "outputs": tuple(
            Output(table, kind, f"{folder}/orders/2026-01-01/{BATCH}/{table}.{kind}", 400, number)
            for table, number in rows.items()
            for folder, kind in (("tables", "parquet"), ("processed", "csv"))
        ),
        "rejects": None,
        "manifest": None,
        "manifest_key": f"manifests/orders/{BATCH}.json",
        "processed_bucket": BUCKET,
        "console_url": run.console_url,
    }
    return BatchHistory(**{**defaults, **changes})
