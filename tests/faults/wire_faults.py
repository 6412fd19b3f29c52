"""Faults on the wire, below botocore's own retries: no step may fail from them.

moto handles botocore's event before-send, and here its handler runs last. Waits of botocore are recorded, not slept.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore import endpoint
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from tests.faults.fault_injection import ERROR_RESPONSES, Fault

_S3 = "<Error><Code>{}</Code><Message>m</Message></Error>"
_SNS = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>m</Message></Error></ErrorResponse>"
_SFN = '{{"__type": "{}", "message": "m"}}'
_SERVICES = {"s3": ("s3", _S3), "sns": ("sns", _SNS), "sfn": ("stepfunctions", _SFN)}
"""By botocore's id of a service: its name, and how it words an error."""


@dataclass
class Wire:
    """The traffic between botocore and moto."""

    fault: Fault | None = None
    """The fault of the first requests."""
    times: int = 1
    """The number of faulty requests of each operation."""
    requests: Counter[str] = field(default_factory=Counter)
    """The number of requests of each operation."""
    sleeps: list[float] = field(default_factory=list)
    """The seconds that botocore would have waited before each retry."""

    def send(self, send: Any, event: str, request: Any) -> Any:
        """The response to a request, or an error that is raised instead."""
        _, service, operation = event.split(".")
        self.requests[operation] += 1
        if self.fault is None or self.requests[operation] > self.times:
            return send(event, request)
        name, words = _SERVICES[service]
        if self.fault in ERROR_RESPONSES:
            code, status = ERROR_RESPONSES[self.fault][name]
            return AWSResponse(request.url, status, {}, MockRawResponse(words.format(code)))
        if self.fault is Fault.STALL:
            raise ReadTimeoutError(endpoint_url=request.url)
        assert self.fault is Fault.LOSE_RESPONSE, f"{self.fault} isn't a fault on the wire"
        send(event, request)
        raise ConnectionClosedError(endpoint_url=request.url)


@contextmanager
def wires() -> Iterator[Wire]:
    """A wire between botocore and moto."""
    wire = Wire()
    send = BotocoreStubber.__call__

    def stub(stubber: Any, event_name: str, request: Any, **_: Any) -> Any:
        return wire.send(lambda *sent: send(stubber, *sent), event_name, request) if stubber.enabled else None

    with (
        patch.object(BotocoreStubber, "__call__", stub),
        patch.object(endpoint, "time", SimpleNamespace(sleep=wire.sleeps.append)),
    ):
        yield wire
