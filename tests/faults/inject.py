"""Strikes the calls that functions make to AWS with faults, one by one, and records them all.

What a step calls is enumerated from a recorded run without faults, so that no call is forgotten when the step
changes. This is the layer of calls, as boto3's callers see them, after every retry of botocore's own; wire.py is the
layer below, where those retries are.
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

from tests.faults.killing import Killed, transfers_that_can_be_killed


class Fault(StrEnum):
    """What can become of a call."""

    FAIL = "fails"
    THROTTLE = "is throttled"
    STALL = "stalls"
    LOSE_ANSWER = "loses its answer"
    BREAK_OFF = "breaks off in its body"
    GARBLE = "comes with another last byte"
    KILL_BEFORE = "is the last thing before the end"
    KILL_AFTER = "is done, and then comes the end"


OF_BODIES = (Fault.BREAK_OFF, Fault.GARBLE)

ANSWERS = {
    Fault.FAIL: dict.fromkeys(("s3", "stepfunctions", "sns"), ("InternalError", 500)),
    Fault.THROTTLE: {
        "s3": ("SlowDown", 503),
        "stepfunctions": ("ThrottlingException", 400),
        "sns": ("Throttling", 400),
    },
}
"""The code and the status of an answer, by service."""

_PLACES = ("Key", "name", "executionArn", "Prefix")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one step."""

    step: str
    service: str
    operation: str
    place: str
    """The key or the prefix of objects, or the name of an execution; else empty."""
    nth: int
    """Which call of this operation at this place it is, from 1."""

    def __str__(self) -> str:
        return f"{self.step}: {self.operation} {self.place}" + (f" ({self.nth})" if self.nth > 1 else "")

    @property
    def writes(self) -> bool:
        """Whether it changes what is stored."""
        return not self.operation.startswith(("Get", "Head", "List", "Describe"))

    @property
    def kind(self) -> tuple[str, str]:
        """The operation, the folder and the suffix: calls that differ in nothing else are made by the same line."""
        folder, slash, name = self.place.partition("/")
        return self.operation, f"{folder} {name.rpartition('.')[2]}" if slash else ""

    def can(self, fault: Fault) -> bool:
        """Whether the fault can happen to such a call."""
        return fault not in OF_BODIES or self.operation == "GetObject"


@dataclass
class _Strike:
    fault: Fault
    where: Callable[[Call], bool]
    left: float


@dataclass
class Injector:
    """Sees every call while a step runs. Calls outside of steps, those of the tests themselves, it lets pass."""

    calls: list[Call] = field(default_factory=list)
    """Every call of a step so far, also those that were struck."""
    struck: list[tuple[Call, Fault]] = field(default_factory=list)
    before: Callable[[Call], None] | None = None
    """Called before each call of a step, in its thread; it may wait."""
    after: Callable[[Call], None] | None = None
    """Called after each call of a step that was really made."""
    _strikes: list[_Strike] = field(default_factory=list)
    _step: str | None = None
    _dead: bool = False
    _counted: Counter[Call] = field(default_factory=Counter)
    _lock: Any = field(default_factory=RLock)

    @contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Calls in the body, from any thread, are the step's."""
        outer, self._step, self._dead = self._step, step, False
        try:
            yield
        finally:
            self._step, self._dead = outer, False

    def strike(self, fault: Fault, where: Callable[[Call], bool], times: float = 1) -> None:
        """Let the first `times` calls for which `where` is true meet `fault`."""
        self._strikes.append(_Strike(fault, where, times))

    def clear(self) -> None:
        """Forget calls, strikes and hooks."""
        for forgotten in (self.calls, self.struck, self._strikes, self._counted):
            forgotten.clear()
        self.before = self.after = None

    def make(self, real: Callable[[], Any], service: str, operation: str, parameters: dict[str, Any]) -> Any:
        """Make a call, or let it meet its fault."""
        if self._step is None:
            return real()
        call, fault = self._see(service, operation, parameters)
        if self.before:
            self.before(call)
        with self._lock:  # moto looks and writes in two steps; AWS does it in one
            answer = self._meet(call, fault, real)
        if self.after:
            self.after(call)
        return answer

    def _see(self, service: str, operation: str, parameters: dict[str, Any]) -> tuple[Call, Fault | None]:
        with self._lock:
            if self._dead:
                raise Killed
            place = next((str(parameters[name]) for name in _PLACES if name in parameters), "").rpartition(":")[2]
            seen = Call(self._step or "", service, operation, place, 0)
            self._counted[seen] += 1
            call = replace(seen, nth=self._counted[seen])
            self.calls.append(call)
            strike = next((s for s in self._strikes if s.left > 0 and s.where(call)), None)
            if strike is None:
                return call, None
            strike.left -= 1
            self.struck.append((call, strike.fault))
            return call, strike.fault

    def _meet(self, call: Call, fault: Fault | None, real: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed
        if fault in ANSWERS:
            code, status = ANSWERS[fault][call.service]
            metadata: Any = {"HTTPStatusCode": status}
            raise ClientError({"Error": {"Code": code, "Message": fault}, "ResponseMetadata": metadata}, call.operation)
        if fault is Fault.STALL:
            raise ReadTimeoutError(endpoint_url=call.place, error=fault)
        if fault is Fault.KILL_BEFORE:
            self._die()
        try:
            answer = real()
        finally:  # an answer that is an error can be lost as well
            if fault is Fault.KILL_AFTER:
                self._die()
            if fault is Fault.LOSE_ANSWER:
                raise ConnectionClosedError(endpoint_url=call.place)
        if fault in OF_BODIES:
            _harm(answer["Body"], fault)
        return answer

    def _die(self) -> None:
        self._dead = True
        raise Killed


def _harm(body: Any, fault: Fault) -> None:
    """Harm the body of an answer. Of a range S3 tells no checksum: a wrong byte would go unseen, and only TLS helps."""
    sent = body._raw_stream.read()
    if fault is Fault.BREAK_OFF:
        sent = sent[: len(sent) // 2]
    elif sent and isinstance(body, StreamingChecksumBody):
        sent = sent[:-1] + bytes([sent[-1] ^ 1])
    body._raw_stream = BytesIO(sent)


def at(call: Call) -> Callable[[Call], bool]:
    """Where a strike meets this very call of a run like the recorded one."""
    return lambda seen: seen == call


def at_each(call: Call) -> Callable[[Call], bool]:
    """Where a strike meets this call at every attempt."""
    return lambda seen: replace(seen, nth=1) == replace(call, nth=1)


def one_of_each_kind(calls: Iterable[Call]) -> list[Call]:
    """The first call of each kind: a sample by a fixed rule."""
    return list({call.kind: call for call in reversed(list(calls))}.values())[::-1]


@contextmanager
def injecting() -> Iterator[Injector]:
    """An injector between all boto3 clients and AWS, those of s3transfer's threads too."""
    injector = Injector()
    make_api_call = BaseClient._make_api_call

    def make(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        return injector.make(lambda: make_api_call(client, operation, parameters), service, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", make), transfers_that_can_be_killed():
        yield injector
