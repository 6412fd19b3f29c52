"""When AWS or the local emulator refuses a call, the advice depends on the kind of failure, not on the command."""

import http.server
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.exceptions as botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common.config import CONTRACTS
from functions.common.errors import TransientError
from functions.common.s3_utils import transient_faults
from pipeline import cli
from pipeline.deploy import aws_errors
from pipeline.emulator import server as embedded
from pipeline.inspect import monitor_commands
from pipeline.recover import commands as recovery_commands

Printed = Callable[..., str]


def refused(code: str, status: int = 400, operation: str = "ListExecutions") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def next_step(error: Exception, place: str = "aws") -> str:
    return aws_errors.of_aws(error, place).next_step


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (refused("ExpiredToken", 403), "Log in"),
        (refused("ExpiredTokenException"), "Log in"),
        (refused("UnrecognizedClientException"), "Log in"),
        (refused("InvalidAccessKeyId", 403), "Log in"),
        (botocore.NoCredentialsError(), "Log in"),
        (botocore.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "Log in"),
        (botocore.ProfileNotFound(profile="x"), "AWS_PROFILE"),
        (botocore.UnauthorizedSSOTokenError(), "aws sso login"),
        (botocore.TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
        (refused("AccessDenied", 403), "ListExecutions"),
        (refused("AccessDeniedException"), "Get the permission"),
        (refused("403", 403, "HeadObject"), "HeadObject"),
        (refused("SignatureDoesNotMatch", 403), "clock"),
        (refused("RequestTimeTooSkewed", 403), "clock"),
        (refused("PermanentRedirect", 301), "AWS_REGION"),
        (refused("AuthorizationHeaderMalformed"), "AWS_REGION"),
        (botocore.NoRegionError(), "AWS_REGION"),
        (botocore.InvalidRegionError(region_name="eu_central"), "AWS_REGION"),
        (refused("ThrottlingException"), "Wait a minute"),
        (refused("SlowDown", 503), "Wait a minute"),
        (refused("TooManyRequestsException", 429), "Wait a minute"),
        (refused("InternalError", 500), "health.aws.amazon.com"),
        (refused("500", 500), "health.aws.amazon.com"),
        (refused("ServiceUnavailable", 503), "health.aws.amazon.com"),
        (refused("NoSuchBucket", 404), "another account"),
        (refused("StateMachineDoesNotExist"), "make deploy-infra"),
        (refused("ValidationException"), "Look up this error"),
        (botocore.EndpointConnectionError(endpoint_url="https://s3.eu-nowhere-1.amazonaws.com/"), "AWS_REGION"),
        (botocore.ConnectTimeoutError(endpoint_url="https://x"), "network"),
        (botocore.ReadTimeoutError(endpoint_url="https://x"), "network"),
        (botocore.ProxyConnectionError(proxy_url="http://proxy"), "HTTPS_PROXY"),
        (botocore.SSLError(endpoint_url="https://x", error="self-signed"), "AWS_CA_BUNDLE"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_advice_follows_the_kind_of_failure(error: Exception, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    printed = next_step(error)
    assert advice in printed
    if advice != "Log in":
        assert "credentials" not in printed or "valid" in printed or "another account" in printed


def test_an_endpoint_that_was_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://127.0.0.1:1")
    assert "AWS_ENDPOINT_URL_S3" in next_step(botocore.EndpointConnectionError(endpoint_url="https://127.0.0.1:1"))


def test_a_fault_of_the_local_emulator_is_not_called_a_fault_of_aws() -> None:
    local = next_step(refused("InternalError", 500), "local")
    assert "server.log" in local
    assert "make local-up" in local
    assert "health.aws.amazon.com" not in local
    demo = next_step(refused("InternalError", 500), aws_errors.DEMO)
    assert "local-up" not in demo, "the demo's emulator is stopped after it"


# --- by a command, over a real connection -----------------------------------------------------------------------------


class _Broken(http.server.BaseHTTPRequestHandler):
    """A service that returns HTTP 500 for every request."""

    def do_POST(self) -> None:
        self.send_error(500)

    do_GET = do_PUT = do_HEAD = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def broken() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def closed() -> str:
    """The address of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class Place:
    """A target whose services are all at one address."""

    runtime = SimpleNamespace(contracts=CONTRACTS)

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        machine = "arn:aws:states:eu-central-1:000000000000:stateMachine:x"
        self._outputs = {
            **dict.fromkeys(("ingest_bucket", "processed_bucket"), "bucket"),
            **{"state_machine_arn": machine, "chunk_bytes": 1, "on_failure_queue_url": f"{url}/queue"},
        }

    def outputs(self) -> dict[str, Any]:
        return self._outputs

    def s3(self) -> Any:
        return self.client("s3")

    def step_functions(self) -> Any:
        return self.client("stepfunctions")

    def client(self, service: str, config: Any = None) -> Any:
        quick = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name="eu-central-1", endpoint_url=self.url, config=quick, **keys)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    def printed(place: str, url: str, *arguments: str) -> str:
        for commands in (monitor_commands, recovery_commands):
            monkeypatch.setattr(commands, "target", lambda name: Place(name, url))
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments, "--target", place])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 1
        return capsys.readouterr().err

    return printed


COMMANDS = [["status"], ["reconcile"], ["replay", "incoming/orders/x.jsonl"], ["backfill"], ["redrive"], ["watch"]]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_http_500_is_called_a_fault_of_aws(printed: Printed, broken: str, arguments: list[str]) -> None:
    text = printed("aws", broken, *arguments)
    assert "next:  AWS had an internal error" in text
    assert "credentials" not in text
    assert "the file" not in text


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_refused_connection_is_not_blamed_on_credentials_or_a_file(
    printed: Printed, closed: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "absence", lambda: None)
    assert "next:  Check the network" in printed("aws", closed, *arguments)
    text = printed("local", closed, *arguments)
    assert "The connection to the local emulator was interrupted" in text
    assert "credentials" not in text
    assert "the file" not in text


def test_a_transient_fault_is_explained_by_its_cause() -> None:
    def call() -> None:
        with transient_faults("ListExecutions"):
            raise refused("ThrottlingException")

    with pytest.raises(TransientError) as problem:
        call()
    explained = cli._explained(problem.value, "aws")
    assert explained is not None
    assert "Wait a minute" in explained.next_step
    assert "file" not in explained.next_step
    explained = cli._explained(TransientError("GET s3://b/k: the object was replaced while it was read."), "aws")
    assert explained is not None
    assert "run the command again" in explained.next_step
