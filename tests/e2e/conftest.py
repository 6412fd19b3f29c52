"""The real Terraform on an embedded AWS with TLS and IAM enforced, once for all end-to-end tests."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import build, deploy, embedded, runs
from pipeline.targets import Target, embedded_target

CHUNK_BYTES = 65_536
"""Small, so that Northwind is cut into nine chunks."""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The deployed pipeline, with a queue that hears what the topic says."""
    home = tmp_path_factory.mktemp("embedded-aws")
    build.build(build.local_runtime())
    server = embedded.start(home / "server", LAMBDA_ASYNC_RETRY_BASE_SECONDS="0.2")
    try:
        place = embedded_target(server, home, chunk_bytes=str(CHUNK_BYTES), environment="e2e")
        deploy.deploy(place)
        _hear_notices(place)
        yield place
    finally:
        server.stop()


def _hear_notices(place: Target) -> None:
    queue, topic = f"arn:aws:sqs:{embedded.REGION}:000000000000:notices", place.outputs["topic_arn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    place.client("sqs").create_queue(QueueName="notices", Attributes={"Policy": policy})
    place.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)


class Pipeline:
    """Drives the deployed pipeline and collects the notices that it sends."""

    def __init__(self, place: Target, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self._heard: list[dict[str, str]] = []

    def run(self, data: bytes, name: str, dataset: str = "orders") -> runs.Outcome:
        """Upload a file and wait for the end of its execution."""
        path = self.folder / name
        path.write_bytes(data)
        uploaded = runs.upload(self.place, path, dataset)
        for _ in runs.follow(self.place, uploaded):
            pass
        return runs.outcome(self.place, uploaded)

    def tables(self, outcome: runs.Outcome) -> dict[str, Path]:
        """The files that a run published, by name."""
        assert outcome.published, f"{outcome.error}: {outcome.cause}"
        folder = self.folder / outcome.upload.batch_id
        runs.download_outputs(self.place, outcome, folder)
        return {path.name: path for path in folder.iterdir()}

    def notices(self, batch_id: str, expected: int, seconds: float = 10) -> list[dict[str, str]]:
        """The notices about a batch: waits for `expected` of them, and a moment longer for one too many."""
        deadline = time.monotonic() + seconds
        while len(found := self._about(batch_id)) < expected and time.monotonic() < deadline:
            time.sleep(0.2)
        if len(found) == expected:
            time.sleep(1)
        return self._about(batch_id)

    def _about(self, batch_id: str) -> list[dict[str, str]]:
        queue = self.place.client("sqs")
        url = queue.get_queue_url(QueueName="notices")["QueueUrl"]
        while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._heard.append(json.loads(message["Body"]))
                queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [notice for notice in self._heard if batch_id in notice["Message"]]

    def executions(self, name_prefix: str) -> list[Any]:
        """The executions whose names begin so."""
        arn = self.place.outputs["state_machine_arn"]
        pages = self.place.step_functions.get_paginator("list_executions").paginate(stateMachineArn=arn)
        return [run for page in pages for run in page["executions"] if run["name"].startswith(name_prefix)]


@pytest.fixture
def pipeline(place: Target, tmp_path: Path) -> Pipeline:
    return Pipeline(place, tmp_path)
