"""Histories of executions, event by event as AWS gives them: iterations of a Map interleave, and each event names the
one before it in its own branch.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
"""

from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)
Event = dict[str, Any]


class Book:
    """Writes a history: `add` returns the event's id, which the next event of its branch names."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, kind: str, ms: float, previous: int, **details: Any) -> int:
        """An event `ms` milliseconds after the start; AWS's details are called after its type."""
        number = len(self.events) + 1
        time = START + timedelta(milliseconds=ms)
        event = {"id": number, "previousEventId": previous, "type": kind, "timestamp": time, **details}
        self.events.append(event)
        return number

    def enter(self, kind: str, name: str, ms: float, previous: int) -> int:
        return self.add(f"{kind}StateEntered", ms, previous, stateEnteredEventDetails={"name": name})

    def leave(self, kind: str, name: str, ms: float, previous: int) -> int:
        return self.add(f"{kind}StateExited", ms, previous, stateExitedEventDetails={"name": name})

    def schedule(self, ms: float, previous: int, service: str = "lambda") -> int:
        scheduled = {
            **{"resourceType": service, "resource": "invoke" if service == "lambda" else "publish"},
            **{"region": "eu-central-1", "parameters": "{}", "timeoutInSeconds": 910},
        }
        return self.add("TaskScheduled", ms, previous, taskScheduledEventDetails=scheduled)

    def begin(self, ms: float, previous: int, service: str = "lambda") -> int:
        """A try that is scheduled, and starts a millisecond later."""
        scheduled = self.schedule(ms - 1, previous, service)
        started = {"resourceType": service, "resource": "invoke"}
        return self.add("TaskStarted", ms, scheduled, taskStartedEventDetails=started)

    def end(self, kind: str, ms: float, previous: int) -> int:
        """The end of a try: `kind` is Succeeded, Failed or TimedOut."""
        details = {"resourceType": "lambda", "resource": "invoke"}
        return self.add(f"Task{kind}", ms, previous, **{f"task{kind}EventDetails": details})


def troubled() -> list[Event]:
    """Two parallel chunks, a retry after an error, one after a timeout, a notification of rejects; it succeeds.

    Validate runs for 100, 40 (fails) and 200 ms, Transform for 1,000 (times out), 50.5 and 60 ms, Write for 300.
    """
    book = Book()
    at = book.add("ExecutionStarted", 0, 0, executionStartedEventDetails={"roleArn": "arn:aws:iam::1:role/x"})
    at = book.leave("Pass", "PlanChunks", 1, book.enter("Pass", "PlanChunks", 0, 0))
    at = book.enter("Map", "ProcessChunks", 2, at)
    at = book.add("MapStateStarted", 2, at, mapStateStartedEventDetails={"length": 2})
    iterations = [
        book.add(
            "MapIterationStarted", 3, at, mapIterationStartedEventDetails={"name": "ProcessChunks", "index": index}
        )
        for index in (0, 1)
    ]
    first, second = (book.enter("Task", "Validate", 4, iteration) for iteration in iterations)
    first, second = book.begin(10, first), book.begin(20, second)
    second = book.end("Failed", 60, second)
    first = book.leave("Task", "Validate", 111, book.end("Succeeded", 110, first))
    first = book.begin(120, book.enter("Task", "Transform", 112, first))
    second = book.begin(2000, second)
    first = book.end("TimedOut", 1120, first)
    second = book.leave("Task", "Validate", 2201, book.end("Succeeded", 2200, second))
    second = book.begin(2210, book.enter("Task", "Transform", 2202, second))
    first = book.begin(6000, first)
    second = book.end("Succeeded", 2270, second)
    first = book.end("Succeeded", 6050.5, first)
    for index, at in enumerate((second, first)):
        at = book.leave("Task", "Transform", 6060, at)
        at = book.add(
            *("MapIterationSucceeded", 6061, at),
            mapIterationSucceededEventDetails={"name": "ProcessChunks", "index": 1 - index},
        )
    at = book.leave("Map", "ProcessChunks", 6063, book.add("MapStateSucceeded", 6062, at))
    at = book.end("Succeeded", 6400, book.begin(6100, book.enter("Task", "Write", 6064, at)))
    at = book.leave("Task", "Write", 6401, at)
    at = book.leave("Choice", "AnyRejects", 6403, book.enter("Choice", "AnyRejects", 6402, at))
    at = book.end("Succeeded", 6450, book.begin(6410, book.enter("Task", "NotifyRejects", 6404, at), "sns"))
    at = book.leave("Task", "NotifyRejects", 6451, at)
    at = book.leave("Succeed", "Published", 6453, book.enter("Succeed", "Published", 6452, at))
    book.add("ExecutionSucceeded", 6454, at, executionSucceededEventDetails={"output": "{}"})
    return book.events


TROUBLED_MS = {"Validate": (3, 340), "Transform": (3, 1111), "Write": (1, 300)}
"""The tries and milliseconds of each state in `troubled`."""


def aborted() -> list[Event]:
    """An execution stopped after 500 ms, during Validate, with another chunk still waiting."""
    book = Book()
    book.add("ExecutionStarted", 0, 0, executionStartedEventDetails={"roleArn": "arn:aws:iam::1:role/x"})
    at = book.add(
        *("MapStateStarted", 2, book.enter("Map", "ProcessChunks", 1, 1)), mapStateStartedEventDetails={"length": 2}
    )
    iterations = [book.add("MapIterationStarted", 3, at) for _ in range(2)]
    first, second = (book.enter("Task", "Validate", 4, iteration) for iteration in iterations)
    book.begin(100, first)
    book.schedule(450, book.end("Failed", 300, book.begin(200, second)))
    at = book.add("MapStateAborted", 500, at)
    book.add("ExecutionAborted", 500, at, executionAbortedEventDetails={"error": "e", "cause": "c"})
    return book.events


def embedded() -> list[Event]:
    """The same machine with two chunks on the embedded AWS: no `previousEventId`, no TaskStarted, and of a Map's inside
    only that tasks were scheduled and ended, one among the other."""
    kinds = [
        ("ExecutionStarted", 0, {}),
        ("PassStateEntered", 1, {"stateEnteredEventDetails": {"name": "PlanChunks"}}),
        ("PassStateExited", 2, {"stateExitedEventDetails": {"name": "PlanChunks"}}),
        ("MapStateEntered", 10, {"stateEnteredEventDetails": {"name": "ProcessChunks"}}),
        *(("TaskScheduled", 11, {"taskScheduledEventDetails": {"resourceType": "lambda"}}) for _ in range(2)),
        *(("TaskSucceeded", 300, {}) for _ in range(2)),
        *(("TaskScheduled", 301, {"taskScheduledEventDetails": {"resourceType": "lambda"}}) for _ in range(2)),
        *(("TaskSucceeded", 600, {}) for _ in range(2)),
        ("MapStateExited", 610, {"stateExitedEventDetails": {"name": "ProcessChunks"}}),
        ("TaskStateEntered", 611, {"stateEnteredEventDetails": {"name": "Write"}}),
        ("TaskScheduled", 612, {"taskScheduledEventDetails": {"resourceType": "lambda"}}),
        ("TaskSucceeded", 700, {}),
        ("TaskStateExited", 701, {"stateExitedEventDetails": {"name": "Write"}}),
        ("SucceedStateEntered", 702, {"stateEnteredEventDetails": {"name": "Published"}}),
        ("SucceedStateExited", 703, {"stateExitedEventDetails": {"name": "Published"}}),
        ("ExecutionSucceeded", 704, {}),
    ]
    return [
        {"id": number, "type": kind, "timestamp": START + timedelta(milliseconds=ms), **details}
        for number, (kind, ms, details) in enumerate(kinds, 1)
    ]
