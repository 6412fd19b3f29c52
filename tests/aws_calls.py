"""Record every AWS request of the functions: the real handlers run on moto while each request is noted."""

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore import xform_name

from functions.common import executions, s3_utils
from functions.common.batch import Batch
from functions.reconciler import index as reconciler
from functions.record_failure import index as record_failure
from functions.record_run import index as record_run
from functions.starter import index as starter
from functions.transform import index as transform
from functions.validate import index as validate
from functions.write import index as write
from pipeline import ROOT
from tests import harness
from tests.unit.orders import lines, order

SERVICES = ("s3", "stepfunctions", "sns", "lambda")
"""The services that functions/ speaks to."""
TRANSFERS = {"upload_file": "CreateMultipartUpload", "download_file": "GetObject"}
"""What s3transfer makes of many requests, by one that is always among them."""

NOW = datetime.now(UTC)
MACHINE = harness.ENVIRONMENT["STATE_MACHINE_ARN"]
GOOD = [order(order_id=str(number)) for number in range(20)]


@dataclass(frozen=True)
class Call:
    """One request, before it is serialised."""

    function: str
    service: str
    operation: str
    params: Mapping[str, Any]
    shape: Any
    """botocore's model of what it takes."""
    site: tuple[str, int]
    """The file and line in functions/ that makes it; no file where a thread of s3transfer's does."""


@dataclass(frozen=True)
class Site:
    """A place in the source code that makes requests."""

    path: str
    lines: range
    operation: str
    is_direct: bool
    """Whether the request is made there, and not by a paginator or a transfer."""

    def makes(self, call: Call) -> bool:
        if self.operation != call.operation:
            return False
        return call.site[0] == self.path and call.site[1] in self.lines if self.is_direct else True


def operations() -> dict[str, str]:
    """Each API operation of the services, by the name of its client method."""
    return {
        xform_name(operation): operation
        for service in SERVICES
        for operation in harness._session().client(service).meta.service_model.operation_names
    }


def sites(folder: Path) -> Iterator[Site]:
    """Every place under a folder that makes requests."""
    known = operations()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name, is_direct = node.func.attr, True
            if name == "get_paginator":
                name, is_direct = ast.literal_eval(node.args[0]), False
            operation = known.get(name)
            if name in TRANSFERS:
                operation, is_direct = TRANSFERS[name], False
            if operation and (node.keywords or not is_direct):
                span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                yield Site(str(path.relative_to(ROOT)), span, operation, is_direct)


@cache
def calls() -> tuple[Call, ...]:
    """Every request of each function, for small and large files, valid and invalid ones, and repeated runs."""
    made: list[Call] = []
    with pytest.MonkeyPatch.context() as patch, harness.buckets(patch):
        for cached in (reconciler._pipeline, reconciler._lambda):
            cached.cache_clear()
        with ExitStack() as stack:
            running = _attributed(patch)
            for client in (s3_utils.client(), executions.client(), record_failure._sns(), reconciler._lambda()):
                stack.enter_context(_recording(client, made, running))
            _run_everything()
            with pytest.MonkeyPatch.context() as large:
                large.setattr(s3_utils, "_MULTIPART_BYTES", 1)
                in_parts = TransferConfig(multipart_threshold=1, multipart_chunksize=5 << 20)
                large.setattr(s3_utils, "_transfer", lambda: in_parts)
                _run_everything()
        for cached in (reconciler._pipeline, reconciler._lambda):
            cached.cache_clear()
    return tuple(made)


def _run_everything() -> None:
    """Call every function as AWS does."""
    batches = [harness.plan(harness.upload(lines(records)), 4000) for records in (GOOD, [*GOOD, GOOD[0], {}])]
    starter.handler({"Records": [_event_of(batches[0]), _event_of(batches[0], version="gone")]})
    starter.handler({"Records": [_event_of(harness.plan(harness.upload(b"", "empty.json")))]})
    for batch in batches:
        harness.run_steps(batch)
        write.handler(batch.to_input())  # it is committed: the second run reads what exists and compares
    hopeless = harness.plan(harness.upload(b"{}\n"))
    failure = {"Error": "NoValidRecordsError", "Cause": "c"}
    record_failure.handler({"batch": hopeless.to_input(), "execution": hopeless.batch_id, "failure": failure})
    record_failure.handler(_ended(hopeless, "FAILED"))
    record_run.handler(_ended(batches[1], "SUCCEEDED"))
    harness.upload(lines(GOOD), "unheard-of.jsonl")
    harness.upload(b"", "unheard-of.json")
    reconciler.handler({"since_hours": 1, "grace_minutes": 0})


def _event_of(batch: Batch, version: str = "") -> dict[str, Any]:
    source = batch.source
    stored = {"key": source.key, "size": 1, "versionId": version or source.version_id, "eTag": "e", "sequencer": "1"}
    bucket = {"name": source.bucket}
    time = "2026-01-01T00:00:00.000Z"
    return {"eventName": "ObjectCreated:Put", "eventTime": time, "s3": {"bucket": bucket, "object": stored}}


def _ended(batch: Batch, status: str) -> dict[str, Any]:
    """EventBridge's event for a finished execution."""
    milliseconds = int(NOW.timestamp() * 1000)
    arn = executions.execution_arn(MACHINE, batch.batch_id)
    times = {"startDate": milliseconds - 1000, "stopDate": milliseconds}
    named = {"executionArn": arn, "stateMachineArn": MACHINE, "name": batch.batch_id, "status": status}
    return {"detail": {**named, **times, "input": json.dumps(batch.to_input()), "error": "E", "cause": "c"}}


_FORGOTTEN_EVENT = Batch.from_input(
    {
        "dataset": "orders",
        "batch_id": "orders-" + 32 * "0",
        "revision": 1,
        "source": {"bucket": "b", "key": "k", "version_id": "v", "size": 1, "etag": "e", "sequencer": ""},
        "ingested_at": "2026-01-01T00:00:00Z",
        "chunk_bytes": 1,
        "last_chunk": 0,
    }
)
_EXECUTION = {
    "executionArn": executions.execution_arn(MACHINE, _FORGOTTEN_EVENT.batch_id),
    "stateMachineArn": MACHINE,
    "name": _FORGOTTEN_EVENT.batch_id,
    "status": "FAILED",
    "startDate": NOW,
    "stopDate": NOW,
}
"""A failed execution without a notification."""

_RESPONSES: Mapping[str, Any] = {
    "StartExecution": {"executionArn": "arn", "startDate": NOW},
    "ListExecutions": {"executions": [_EXECUTION]},
    "DescribeExecution": {**_EXECUTION, "input": json.dumps(_FORGOTTEN_EVENT.to_input())},
    "GetExecutionHistory": {
        "events": [
            {"id": 2, "previousEventId": 1, "type": "ExecutionSucceeded", "timestamp": NOW},
            {"id": 1, "type": "ExecutionStarted", "timestamp": NOW - timedelta(seconds=1)},
        ]
    },
    "Publish": {"MessageId": "m"},
    "Invoke": {"StatusCode": 202},
}
"""What the services but S3 say, which moto plays."""


_MODULES = (starter, validate, transform, write, record_failure, record_run, reconciler)


def _attributed(patch: pytest.MonkeyPatch) -> list[str]:
    """Let each handler record when it runs. The last name in the returned list is the handler that runs now."""
    running: list[str] = []

    def wrapped(module: ModuleType) -> Callable[..., Any]:
        handler, name = module.handler, module.__name__.split(".")[1]

        def run(*arguments: Any) -> Any:
            running.append(name)
            try:
                return handler(*arguments)
            finally:
                running.pop()

        return run

    for module in _MODULES:
        patch.setattr(module, "handler", wrapped(module))
    return running


@contextmanager
def _recording(client: Any, made: list[Call], running: list[str]) -> Iterator[None]:
    """Record the requests that a client makes while a function runs, and stub every service but S3."""

    def note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if running:
            service = model.service_model.service_name
            made.append(Call(running[-1], service, model.name, dict(params), model.input_shape, _call_site()))

    def respond(model: Any, **_: Any) -> Any:
        return (SimpleNamespace(status_code=200), _RESPONSES[model.name]) if model.name in _RESPONSES else None

    events = client.meta.events
    events.register("before-parameter-build", note)
    events.register_first("before-call", respond)
    try:
        yield
    finally:
        events.unregister("before-parameter-build", note)
        events.unregister("before-call", respond)


def _call_site() -> tuple[str, int]:
    """The file and line in functions/ that makes the request; no file in a thread of s3transfer."""
    for frame in inspect.stack(0):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT / "functions"):
            return str(path.relative_to(ROOT)), frame.lineno
    return "", 0


def by_function() -> dict[str, list[Call]]:
    """The requests of each function."""
    names = [module.__name__.split(".")[1] for module in _MODULES]
    return {name: [call for call in calls() if call.function == name] for name in names}
