"""Goes into a function's zip in place of AWS's runtime client, which it starts: then calls to AWS fail at random.

Three kinds, each with its share of all calls: AWS throttles (on the wire, so that botocore's own retries meet it
first), AWS's answer is lost after the call was carried out, and the process dies before a call or after it.
`faults.json` holds the shares and the seed. Which call is hit differs from run to run, since the order of calls does;
how many are hit does not.
"""

import json
import os
import random
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

FAULTS: dict[str, float] = json.loads((Path(__file__).parent / "faults.json").read_text())
FUNCTION = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
RANDOM = random.Random(f"{FAULTS['seed']}-{FUNCTION}-{time.time_ns()}")
KIND = FUNCTION.rpartition("-")[2]
KILLED, LOST = (FAULTS.get(f"{fault}_{KIND}", FAULTS[fault]) for fault in ("killed", "lost"))


class Throttled:
    """A 503 as S3 sends it; other services' clients retry it alike."""

    def __init__(self) -> None:
        self.content = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.content

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self.content = self.content, b""
        return content


def throttle(request: Any, **_: Any) -> AWSResponse | None:
    """Answer in AWS's place, or let the request go."""
    if RANDOM.random() >= FAULTS["throttled"]:
        return None
    headers = {"content-type": "application/xml"}
    return AWSResponse(request.url, 503, headers, Throttled())


def install() -> None:
    """Let this process's calls to AWS fail."""
    made, call = BaseClient.__init__, BaseClient._make_api_call

    def make(self: Any, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self.meta.events.register_first("before-send.*", throttle)

    def fail(self: Any, operation: str, arguments: Any) -> Any:
        if RANDOM.random() < KILLED:
            os._exit(1)
        answer = call(self, operation, arguments)
        if RANDOM.random() < KILLED:
            os._exit(1)
        if RANDOM.random() < LOST:
            raise ReadTimeoutError(endpoint_url="lost")
        return answer

    BaseClient.__init__, BaseClient._make_api_call = make, fail  # type: ignore[method-assign]


if __name__ == "__main__":
    install()
    sys.argv = ["awslambdaric", *sys.argv[1:]]
    runpy.run_module("awslambdaric", run_name="__main__")
