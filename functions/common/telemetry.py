"""Logs and metrics of a step: one JSON line when it starts, one when it ends, never a record's content."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics

from functions.common.config import CONTRACTS
from functions.common.errors import PipelineError
from functions.common.planning import UNKNOWN_DATASET


class LogEvent(StrEnum):
    """The member `event` of a log line: what the line is about, for queries and commands. Values never change."""

    STEP_STARTED = "step_started"
    STEP_ENDED = "step_ended"
    STEP_FAILED = "step_failed"
    EXECUTION_STARTED = "execution_started"
    """The starter or the reconciler has started the execution of a version."""
    EXECUTION_KNOWN = "execution_known"
    """An event came for a version whose execution was started before."""
    IGNORED = "ignored"
    """An event that starts nothing: S3's test event, a folder marker, or a file that the contract ignores."""
    BATCH_UNACCOUNTED = "batch_unaccounted"
    """The reconciler has found a batch that only a person can repair."""
    FAILURE_NOT_NOTIFIED = "failure_not_notified"
    """The reconciler has found a failure that nobody was notified of, and has it notified."""
    REPAIR_FAILED = "repair_failed"


@cache
def logger() -> Logger:
    """The process's logger; service and level come from the environment (POWERTOOLS_*)."""
    return Logger(utc=True)


@contextmanager
def step(name: str, batch_id: str, **place: Any) -> Iterator[dict[str, Any]]:
    """Log the start and the end of a step; what the body puts into the dict it gets stands in the last line.

    A PipelineError is logged by name and message, any other exception by name with its stack trace; both go on.
    """
    context = {"batch_id": batch_id, **place}
    started = time.perf_counter()
    logger().info(f"{name} started", extra={"event": LogEvent.STEP_STARTED, **context})
    outcome: dict[str, Any] = {}
    try:
        yield outcome
    except PipelineError as exc:
        failed = {"event": LogEvent.STEP_FAILED, **context, "error": type(exc).__name__}
        logger().error(f"{name} failed", extra={**failed, "cause": str(exc)})
        raise
    except Exception as exc:
        failed = {"event": LogEvent.STEP_FAILED, **context, "error": type(exc).__name__}
        logger().exception(f"{name} failed", extra=failed)
        raise
    milliseconds = round((time.perf_counter() - started) * 1000)
    ended = {"event": LogEvent.STEP_ENDED, **context, **outcome, "milliseconds": milliseconds}
    logger().info(f"{name} ended", extra=ended)


def count(dataset: str | None, numbers: Mapping[str, float], unit: str = "Count", **dimensions: str) -> None:
    """Emit `numbers` as CloudWatch metrics of the step, of the dataset if they belong to one, and of `dimensions`.

    `unit` is one of CloudWatch's; `None`, as a text, is that of money. Each value of a dimension is a metric that
    costs by the month, so none may be of a sender's choice: a dataset without a contract is UNKNOWN_DATASET.
    """
    emitted = EphemeralMetrics()  # shares nothing with the next call's; a line of the log in EMF
    if dataset is not None:
        is_known = (CONTRACTS / dataset / "contract.json").is_file()
        emitted.add_dimension(name="dataset", value=dataset if is_known else UNKNOWN_DATASET)
    for name, value in dimensions.items():
        emitted.add_dimension(name=name, value=value)
    for name, number in numbers.items():
        emitted.add_metric(name=name, unit=unit, value=number)
    emitted.flush_metrics()
