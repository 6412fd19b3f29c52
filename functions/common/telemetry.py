"""Emits metrics, and logs one line of JSON at the start and one at the end of a step, without record content."""

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
    """The values of the member `event` in log lines. Queries and commands rely on them, so values never change."""

    STEP_STARTED = "step_started"
    STEP_ENDED = "step_ended"
    STEP_FAILED = "step_failed"
    EXECUTION_STARTED = "execution_started"
    """The starter or the reconciler started the execution for an object version."""
    EXECUTION_KNOWN = "execution_known"
    """An event arrived for an object version whose execution was already started."""
    IGNORED = "ignored"
    """An event arrived that starts nothing: S3's test event, a folder marker, or a file that the contract ignores."""
    BATCH_UNACCOUNTED = "batch_unaccounted"
    """The reconciler found a batch that requires manual recovery."""
    FAILURE_NOT_NOTIFIED = "failure_not_notified"
    """The reconciler found a failure without a notification, and requested the notification."""
    REPAIR_FAILED = "repair_failed"


@cache
def logger() -> Logger:
    """Return the process's logger. Environment variables (POWERTOOLS_*) set its service and level."""
    return Logger(utc=True)


@contextmanager
def step(name: str, batch_id: str, **place: Any) -> Iterator[dict[str, Any]]:
    """Log the start and the end of a step. The yielded dict is added to the last log line.

    A PipelineError is logged with its name and message. Any other exception is logged with its name and stack trace.
    All exceptions are raised again.
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
    """Emit `numbers` as CloudWatch metrics with the dimensions `dataset`, if it isn't None, and `dimensions`.

    `unit` is a CloudWatch unit; use the string `None` for money. AWS bills each combination of dimension values as a
    metric, so producers must not control the values: a dataset without a contract is counted as UNKNOWN_DATASET.
    """
    emitted = EphemeralMetrics()  # shares no state with other calls, and writes a log line in EMF
    if dataset is not None:
        is_known = (CONTRACTS / dataset / "contract.json").is_file()
        emitted.add_dimension(name="dataset", value=dataset if is_known else UNKNOWN_DATASET)
    for name, value in dimensions.items():
        emitted.add_dimension(name=name, value=value)
    for name, number in numbers.items():
        emitted.add_metric(name=name, unit=unit, value=number)
    emitted.flush_metrics()
