"""A replacement for AWS's runtime client in a function's zip, which starts the original: AWS calls fail at random.

Three kinds of faults, each with its share of all calls: AWS throttles (on the wire, so that botocore's retries apply
first), the response is lost after the call was made, and the process ends before or after a call.
`faults.json` contains the shares and the seed. The order of calls differs from run to run, so other calls are hit, but
the same number.
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
    """A 503 response of S3. The clients of other services retry it, too."""

    def __init__(self) -> None:
        self.content = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.content

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self.content = self.content, b""
        return content


def throttle(request: Any, **_: Any) -> AWSResponse | None:
    """Respond in AWS's place, or pass the request on."""
    if RANDOM.random() >= FAULTS["throttled"]:
        return None
    headers = {"content-type": "application/xml"}
    return AWSResponse(request.url, 503, headers, Throttled())


def install() -> None:
    """Make AWS calls of this process fail."""
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
