"""Inject faults into the AWS calls of the functions, one at_call a time, and record every call.

The calls of a step come from a recorded run without faults, so that no call is missed when the step changes. Faults
are injected where callers of boto3 see them, after all retries of botocore. wire_faults.py injects faults below those
retries.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import BytesIO
from threading import RLock
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.httpchecksum import StreamingChecksumBody

from tests.faults.process_kills import Killed, transfers_that_can_be_killed


class Fault(StrEnum):
    """What can happen to a call."""

    FAIL = "fails"
    THROTTLE = "is throttled"
    STALL = "stalls"
    LOSE_RESPONSE = "loses its response"
    BREAK_OFF = "breaks off in the response body"
    GARBLE = "returns a wrong last byte"
    KILL_BEFORE = "is never made because the process ends"
    KILL_AFTER = "is made and then the process ends"


BODY_FAULTS = (Fault.BREAK_OFF, Fault.GARBLE)

ERROR_RESPONSES = {
    Fault.FAIL: dict.fromkeys(("s3", "stepfunctions", "sns"), ("InternalError", 500)),
    Fault.THROTTLE: {
        "s3": ("SlowDown", 503),
        "stepfunctions": ("ThrottlingException", 400),
        "sns": ("Throttling", 400),
    },
}
"""The error code and the HTTP status of the response, by service."""

_PLACES = ("Key", "name", "executionArn", "Prefix")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one step."""

    step: str
    service: str
    operation: str
    place: str
    """The key or prefix of objects, or the name of an execution; otherwise empty."""
    nth: int
    """The number of the call among those of this operation at_call this place, from 1."""

    def __str__(self) -> str:
        return f"{self.step}: {self.operation} {self.place}" + (f" ({self.nth})" if self.nth > 1 else "")

    @property
    def writes(self) -> bool:
        """Whether the call changes stored data."""
        return not self.operation.startswith(("Get", "Head", "List", "Describe"))

    @property
    def kind(self) -> tuple[str, str]:
        """The operation, folder and suffix. Calls of one kind are made by the same line of code."""
        folder, slash, name = self.place.partition("/")
        return self.operation, f"{folder} {name.rpartition('.')[2]}" if slash else ""

    def can(self, fault: Fault) -> bool:
        """Whether the fault can happen to such a call."""
        return fault not in BODY_FAULTS or self.operation == "GetObject"


@dataclass
class _Injection:
    fault: Fault
    where: Callable[[Call], bool]
    left: float


@dataclass
class Injector:
    """Intercepts every call while a step runs. Calls outside of steps, made by the tests themselves, pass through."""

    calls: list[Call] = field(default_factory=list)
    """Every call of a step so far, with and without a fault."""
    injected: list[tuple[Call, Fault]] = field(default_factory=list)
    before: Callable[[Call], None] | None = None
    """Runs before each call of a step, in the thread of the call. It may wait."""
    after: Callable[[Call], None] | None = None
    """Runs after each call of a step that was really made."""
    _injections: list[_Injection] = field(default_factory=list)
    _step: str | None = None
    _dead: bool = False
    _counted: Counter[Call] = field(default_factory=Counter)
    _lock: Any = field(default_factory=RLock)

    @contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Treat all calls in the body, from any thread, as calls of the step."""
        outer, self._step, self._dead = self._step, step, False
        try:
            yield
        finally:
            self._step, self._dead = outer, False

    def inject(self, fault: Fault, where: Callable[[Call], bool], times: float = 1) -> None:
        """Inject `fault` into the first `times` calls for which `where` is true."""
        self._injections.append(_Injection(fault, where, times))

    def clear(self) -> None:
        """Forget calls, faults and hooks."""
        for forgotten in (self.calls, self.injected, self._injections, self._counted):
            forgotten.clear()
        self.before = self.after = None

    def make(self, real: Callable[[], Any], service: str, operation: str, parameters: dict[str, Any]) -> Any:
        """Make a call, or inject its fault."""
        if self._step is None:
            return real()
        call, fault = self._record(service, operation, parameters)
        if self.before:
            self.before(call)
        with self._lock:  # moto checks and writes in two steps; AWS does both in one
            response = self._apply(call, fault, real)
        if self.after:
            self.after(call)
        return response

    def _record(self, service: str, operation: str, parameters: dict[str, Any]) -> tuple[Call, Fault | None]:
        with self._lock:
            if self._dead:
                raise Killed
            place = next((str(parameters[name]) for name in _PLACES if name in parameters), "").rpartition(":")[2]
            seen = Call(self._step or "", service, operation, place, 0)
            self._counted[seen] += 1
            call = replace(seen, nth=self._counted[seen])
            self.calls.append(call)
            chosen = next((s for s in self._injections if s.left > 0 and s.where(call)), None)
            if chosen is None:
                return call, None
            chosen.left -= 1
            self.injected.append((call, chosen.fault))
            return call, chosen.fault

    def _apply(self, call: Call, fault: Fault | None, real: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed
        if fault in ERROR_RESPONSES:
            code, status = ERROR_RESPONSES[fault][call.service]
            metadata: Any = {"HTTPStatusCode": status}
            raise ClientError({"Error": {"Code": code, "Message": fault}, "ResponseMetadata": metadata}, call.operation)
        if fault is Fault.STALL:
            raise ReadTimeoutError(endpoint_url=call.place, error=fault)
        if fault is Fault.KILL_BEFORE:
            self._die()
        try:
            response = real()
        finally:  # an error response can be lost, too
            if fault is Fault.KILL_AFTER:
                self._die()
            if fault is Fault.LOSE_RESPONSE:
                raise ConnectionClosedError(endpoint_url=call.place)
        if fault in BODY_FAULTS:
            _corrupt(response["Body"], fault)
        return response

    def _die(self) -> None:
        self._dead = True
        raise Killed


def _corrupt(body: Any, fault: Fault) -> None:
    """Corrupt the body of a response. S3 sends no checksum for a range: only TLS detects a wrong byte there."""
    sent = body._raw_stream.read()
    if fault is Fault.BREAK_OFF:
        sent = sent[: len(sent) // 2]
    elif sent and isinstance(body, StreamingChecksumBody):
        sent = sent[:-1] + bytes([sent[-1] ^ 1])
    body._raw_stream = BytesIO(sent)


def at_call(call: Call) -> Callable[[Call], bool]:
    """A condition for exactly this call of a run that equals the recorded one."""
    return lambda seen: seen == call


def at_every_attempt(call: Call) -> Callable[[Call], bool]:
    """A condition for this call at_call every attempt."""
    return lambda seen: replace(seen, nth=1) == replace(call, nth=1)


def one_of_each_kind(calls: Iterable[Call]) -> list[Call]:
    """The first call of each kind: a deterministic sample."""
    return list({call.kind: call for call in reversed(list(calls))}.values())[::-1]


@contextmanager
def injecting() -> Iterator[Injector]:
    """An injector between all boto3 clients and AWS, including the threads of s3transfer."""
    injector = Injector()
    make_api_call = BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        return injector.make(lambda: make_api_call(client, operation, parameters), service, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", make), transfers_that_can_be_killed():
        yield injector
