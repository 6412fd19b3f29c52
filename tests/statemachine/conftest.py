"""A local Step Functions endpoint."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import boto3
import pytest

from pipeline.emulator import server as embedded

pytest.register_assert_rewrite("tests.statemachine.engine", "tests.statemachine.path_walk")

CREDENTIALS: Any = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": embedded.REGION}


@pytest.fixture(scope="session")
def local_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Create boto3 clients of a local Step Functions endpoint and its other services.

    SFN_ENDPOINT_URL selects an endpoint that already runs on this machine; set AWS_CA_BUNDLE if it uses https. Its
    retries then wait in real time. Otherwise an embedded AWS is started, in which retries do not wait.
    """
    with ExitStack() as stack:
        url, certificate = os.environ.get("SFN_ENDPOINT_URL"), os.environ.get("AWS_CA_BUNDLE")
        if not url:
            server = embedded.start(tmp_path_factory.mktemp("embedded-aws"), AUTH="false", SFN_WAIT_SCALE="0")
            stack.callback(server.stop)
            url, certificate = server.environment()["AWS_ENDPOINT_URL"], str(server.certificate)

        @cache
        def client(service: str) -> Any:
            session: Any = boto3.Session(**CREDENTIALS)
            made = session.client(service, endpoint_url=url, verify=certificate)
            stack.callback(made.close)  # before the server stops, because it waits for open connections
            return made

        yield client
