"""The expected behaviour of the state machine definition: one table of cases, which every engine runs.

A case says what the functions do and what must result: status, error and cause, calls, notification.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.common import errors
from tests.statemachine import definition as asl
from tests.statemachine.function_doubles import CRASH, HANG

TRANSIENT = errors.TransientError.__name__
NOT_VISIBLE = errors.SourceNotVisibleError.__name__
TRIES = asl.attempts(asl.tasks(asl.load())["Write"], TRANSIENT)
"""Attempts of a task that always fails with TransientError: 1 + MaxAttempts."""
THROTTLED_TRIES = asl.attempts(asl.tasks(asl.load())["Validate"], "Lambda.TooManyRequestsException")


@dataclass(frozen=True)
class Case:
    """One execution. The defaults are those of a file with one chunk that is published."""

    name: str
    actions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a function (`write`), or its calls for one chunk (`validate-1`), do at each attempt; then they succeed."""
    chunks: int = 1
    rejected: int = 0
    notified_before: bool = False
    """Whether an earlier revision had the same rejects."""
    topic: bool = True
    """Whether the notification topic exists."""
    write_seconds: int | None = None
    """TimeoutSeconds of Write, if other than the definition's."""

    calls: tuple[int | None, int | None, int, int] = (1, 1, 1, 0)
    """How often validate, transform, write and record_failure are called; None if it depends on timing."""
    ends_in: str = "Published"
    error: str | None = None
    """The error of the execution, and of the failure record. If it ends with a dot, it is a prefix."""
    failing_function: str | None = None
    """The function that raises `error`, if the error has its own message."""
    notification: str | None = None
    """The notification: about `rejects`, about a `failure`, or about an `unrecorded` failure."""


def failing(
    name: str, failing_function: str | None, error: str, actions: Mapping[str, tuple[str, ...]], **others: Any
) -> Case:
    """A case that ends in Failed, by default with a notification."""
    return Case(
        name,
        actions,
        ends_in="Failed",
        error=error,
        failing_function=failing_function,
        **{"notification": "failure", **others},
    )


DATA_ERROR = errors.MalformedDocumentError.__name__
FIRST_FAILS = {"validate": (DATA_ERROR,)}

PUBLISHED = [
    Case("one chunk is published"),
    Case("three chunks are published", chunks=3, calls=(3, 3, 1, 0)),
    Case("rejects are notified", rejected=2, notification="rejects"),
    Case("rejects that were notified before", rejected=2, notified_before=True),
]

DATA_ERRORS = [
    failing("a data error in validate", "validate", DATA_ERROR, FIRST_FAILS, calls=(1, 0, 0, 1)),
    failing(
        "a data error in transform",
        "transform",
        errors.ContractError.__name__,
        {"transform": (errors.ContractError.__name__,)},
        calls=(1, 1, 0, 1),
    ),
    failing(
        "a data error in write",
        "write",
        errors.ReconciliationError.__name__,
        {"write": (errors.ReconciliationError.__name__,)},
        calls=(1, 1, 1, 1),
    ),
    failing("an unexpected error in write", "write", "KeyError", {"write": ("KeyError",)}, calls=(1, 1, 1, 1)),
    failing(
        "one chunk of three fails",
        "validate",
        DATA_ERROR,
        {"validate-1": (DATA_ERROR,)},
        chunks=3,
        calls=(None, None, 0, 1),
    ),
]

RETRIES = [
    Case("the source is not visible for a long time", {"validate": (NOT_VISIBLE,) * 18}, calls=(19, 1, 1, 0)),
    Case("write does not see the source at first", {"write": (NOT_VISIBLE,)}, calls=(1, 1, 2, 0)),
    Case("validate meets a transient fault", {"validate": (TRANSIENT,)}, calls=(2, 1, 1, 0)),
    Case("transform meets a transient fault", {"transform": (TRANSIENT,)}, calls=(1, 2, 1, 0)),
    Case("write meets a transient fault", {"write": (TRANSIENT,)}, calls=(1, 1, 2, 0)),
    Case("write succeeds at the last attempt", {"write": (TRANSIENT,) * (TRIES - 1)}, calls=(1, 1, TRIES, 0)),
    Case(
        "one chunk of three meets a transient fault",
        {"transform-2": (TRANSIENT, TRANSIENT)},
        chunks=3,
        calls=(3, 5, 1, 0),
    ),
    Case("Lambda is throttled", {"write": ("Lambda.TooManyRequestsException",) * 3}, calls=(1, 1, 4, 0)),
    Case(
        "Lambda is throttled for a long time, and then has a fault",
        {"validate": (*["Lambda.TooManyRequestsException"] * (THROTTLED_TRIES - 1), *[TRANSIENT] * (TRIES - 1))},
        calls=(THROTTLED_TRIES + TRIES - 1, 1, 1, 0),
    ),
    Case(
        "a function is inactive after weeks without calls",
        {"validate": ("Lambda.CodeArtifactUserPendingException",) * 5},
        calls=(6, 1, 1, 0),
    ),
    Case("write crashes once", {"write": (CRASH,)}, calls=(1, 1, 2, 0)),
    Case("a function crashes once during initialization", {"validate": ("Runtime.Unknown",)}, calls=(2, 1, 1, 0)),
    Case("a function times out once", {"transform": ("Sandbox.Timedout",)}, calls=(1, 2, 1, 0)),
    Case(
        "each kind of fault has its own retries",
        {"write": (*[TRANSIENT] * (TRIES - 1), "Lambda.Unknown")},
        calls=(1, 1, TRIES + 1, 0),
    ),
    failing(
        "record_failure meets a transient fault",
        "validate",
        DATA_ERROR,
        {**FIRST_FAILS, "record_failure": (TRANSIENT,)},
        calls=(1, 0, 0, 2),
    ),
]

RETRIES_USED_UP = [
    failing(
        "the source stays invisible", "validate", NOT_VISIBLE, {"validate": (NOT_VISIBLE,) * 99}, calls=(19, 0, 0, 1)
    ),
    failing(
        "validate stays unavailable", "validate", TRANSIENT, {"validate": (TRANSIENT,) * 20}, calls=(TRIES, 0, 0, 1)
    ),
    failing(
        "transform stays unavailable", "transform", TRANSIENT, {"transform": (TRANSIENT,) * 20}, calls=(1, TRIES, 0, 1)
    ),
    failing("write stays unavailable", "write", TRANSIENT, {"write": (TRANSIENT,) * 20}, calls=(1, 1, TRIES, 1)),
    failing("write crashes twice", None, "Runtime.ExitError", {"write": (CRASH,) * 9}, calls=(1, 1, 2, 1)),
    failing(
        "transform crashes twice",
        None,
        "Runtime.ExitError",
        {"transform": (CRASH,) * 9},
        calls=(1, 2, 0, 1),
    ),
    failing(
        "write hangs twice",
        None,
        "States.Timeout",
        {"write": (HANG,) * 9},
        write_seconds=2,
        calls=(1, 1, 2, 1),
    ),
    failing(
        "a data error after a transient fault",
        "write",
        DATA_ERROR,
        {"write": (TRANSIENT, DATA_ERROR)},
        calls=(1, 1, 2, 1),
    ),
]

WITHOUT_RECORD_OR_NOTIFICATION = [
    failing(
        "the record can't be written",
        "validate",
        DATA_ERROR,
        {**FIRST_FAILS, "record_failure": (errors.ConfigurationError.__name__,)},
        calls=(1, 0, 0, 1),
        notification="unrecorded",
    ),
    failing(
        "the record's retries are used up",
        "validate",
        DATA_ERROR,
        {**FIRST_FAILS, "record_failure": (TRANSIENT,) * 20},
        calls=(1, 0, 0, TRIES),
        notification="unrecorded",
    ),
    failing(
        "the failure notification can't be sent",
        "validate",
        DATA_ERROR,
        FIRST_FAILS,
        topic=False,
        calls=(1, 0, 0, 1),
        notification=None,
    ),
    failing(
        "neither the record nor the notification can be written",
        "validate",
        DATA_ERROR,
        {**FIRST_FAILS, "record_failure": (errors.ConfigurationError.__name__,)},
        topic=False,
        calls=(1, 0, 0, 1),
        notification=None,
    ),
    Case("the rejects notification can't be sent", rejected=2, topic=False, ends_in="NoticeNotSent", error="SNS."),
    Case("without rejects no notification is needed", topic=False),
]

CASES = [*PUBLISHED, *DATA_ERRORS, *RETRIES, *RETRIES_USED_UP, *WITHOUT_RECORD_OR_NOTIFICATION]
