"""Run every function under its name on Lambda, and read the metrics that it emitted and the lines that it logged."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from functions.common import executions, telemetry
from functions.common.batch import Batch
from functions.common.errors import TooManyRejectsError, UnknownDatasetError
from functions.reconciler import index as reconciler
from functions.record_failure import index as record_failure
from functions.record_run import index as record_run
from functions.starter import index as starter
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from tests import harness
from tests.infra.policies import NAME
from tests.integration.deployed import Place
from tests.integration.test_reconciler import pipeline
from tests.integration.test_record_run import StepFunctions, ended
from tests.unit import histories
from tests.unit.orders import lines, order

Metric = tuple[str, frozenset[tuple[str, str]]]
"""A metric's name and its dimensions, each with its value."""


@dataclass
class Emitted:
    """The metrics and log fields of the functions."""

    metrics: set[Metric] = field(default_factory=set)
    fields: dict[str, set[str]] = field(default_factory=dict)
    """The fields of each function's lines, metrics and log lines alike, as Logs Insights calls them."""

    def read(self, function: str, output: str) -> None:
        for line in map(json.loads, output.splitlines()):
            self.fields.setdefault(function, set()).update(flattened(line))
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
                assert directive["Namespace"] == NAME
                for names in directive["Dimensions"]:
                    place = frozenset((name, line[name]) for name in names)
                    self.metrics |= {(metric["Name"], place) for metric in directive["Metrics"]}


def flattened(line: dict[str, Any]) -> Iterator[str]:
    """The fields of a log line. A number in an array has the array's name as its key."""
    for name, value in line.items():
        yield name
        if isinstance(value, list):
            yield from (f"{name}.{number}" for number, _ in enumerate(value))


@contextmanager
def called(function: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give metrics the name of `function`. Its logger gets a new name, because a logger keeps its first stream."""
    telemetry.logger.cache_clear()
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", NAME)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"{function}-{uuid.uuid4()}")
    telemetry.logger()
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", function)
    yield
    telemetry.logger.cache_clear()


def emitted_by_all(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Emitted:
    """Everything that is emitted for a published file with a reject, a refused file, and one of an unknown dataset."""
    emitted = Emitted()

    def call(function: str, work: Callable[[], Any], refusal: type[Exception] | None = None) -> None:
        capsys.readouterr()
        with called(function, monkeypatch):
            if refusal:
                with pytest.raises(refusal):
                    work()
            else:
                work()
        emitted.read(function, capsys.readouterr().out)

    def process(batch: Batch, refusal: type[Exception] | None = None) -> None:
        chunk = {"batch": batch.to_input(), "chunk": 0}
        call("validate", lambda: validate.handler(chunk))
        call("transform", lambda: transform.handler(chunk))
        call("write", lambda: write.handler(batch.to_input()), refusal)

    good = [order(order_id=str(number)) for number in range(10)]
    published, refused = (
        harness.plan(harness.upload(lines([*good, {}]))),
        harness.plan(harness.upload(b"{}\n" * 2 + lines(good[:1]))),
    )
    stray = harness.plan(harness.upload(b"{}", folder="incoming/nowhere/"))
    monkeypatch.setattr(executions, "start", lambda *_: True)
    for batch in (published, stray):
        call("starter", lambda batch=batch: starter.handler(event_of(batch)))  # type: ignore[misc]
    process(published)
    process(refused, TooManyRejectsError)
    call("validate", lambda: validate.handler({"batch": stray.to_input(), "chunk": 0}), UnknownDatasetError)
    for batch in (refused, stray):
        failure = {"Error": "E", "Cause": "c"}
        event = {"batch": batch.to_input(), "execution": batch.batch_id, "failure": failure}
        call("record_failure", lambda event=event: record_failure.handler(event))  # type: ignore[misc]
    for batch in (published, stray):
        with patch.object(executions, "client", lambda: StepFunctions(histories.troubled())):
            call("record_run", lambda batch=batch: record_run.handler(ended(batch)))  # type: ignore[misc]
    place = Place()
    monkeypatch.setattr(reconciler, "_pipeline", lambda: pipeline(place))
    monkeypatch.setattr(reconciler, "_lambda", lambda: place.functions)
    call("reconciler", lambda: reconciler.handler({"since_hours": 1, "grace_minutes": 60}))
    return emitted


def event_of(batch: Batch) -> dict[str, Any]:
    """S3's event for the source of a batch."""
    source = batch.source
    thing = {"key": source.key, "size": source.size, "versionId": source.version_id, "eTag": "e", "sequencer": "1"}
    s3 = {"bucket": {"name": source.bucket}, "object": thing}
    time = datetime.now(UTC).isoformat()
    return {"Records": [{"eventName": "ObjectCreated:Put", "eventTime": time, "s3": s3}]}
