"""The real Terraform on an embedded AWS with TLS and IAM enforced, once for all end-to-end tests."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from pipeline import ROOT, cli
from pipeline.contract import validate_command
from pipeline.contract.dry_run import settings_of
from pipeline.contract.rules import rules_here
from pipeline.deploy import build, deploy
from pipeline.deploy.targets import Target, embedded_target
from pipeline.draft.sample import read_sample
from pipeline.draft.sample_files import SampleFile
from pipeline.draft.trial import draft_and_try
from pipeline.emulator import server as embedded
from pipeline.inspect import explain_commands, monitor_commands
from pipeline.recover import commands as recovery_commands
from pipeline.run import runs
from tests.e2e.deployer import AS_THROW_AWAY, SMOKE_ROLE, acting_as, make_bootstrap
from tests.e2e.notifications import Subscriber, subscribed
from tests.integration.draft_samples import SAMPLES
from tests.unit.web_visits import CONTRACTS as EXAMPLES

DRAFTED = {"sales": "orders.jsonl", "forge_events": "github.json", "bills": "invoices.json"}
"""The datasets whose contracts are drafted, each with its sample."""

CHUNK_BYTES = 65_536
"""Small enough to cut Northwind into nine chunks."""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The deployed pipeline, with two datasets and three whose contracts are drafted from samples."""
    home = tmp_path_factory.mktemp("embedded-aws")
    contracts = two_datasets()
    for dataset, sample in DRAFTED.items():
        draft(home, dataset, sample, contracts)
    build.build(build.local_runtime(contracts))
    server = embedded.start(home / "server", LAMBDA_ASYNC_RETRY_BASE_SECONDS="0.2")
    try:
        settings = {
            "environment": "e2e",
            "permissions_boundary": "order-pipeline-boundary-e2e",
            "notification_email": "somebody@example.org",
            "budget": "{ monthly_usd = 20 }",
        }
        place = embedded_target(server, home, contracts, chunk_bytes=str(CHUNK_BYTES), **settings)
        make_bootstrap(place, home, "e2e")
        deploy.deploy(acting_as(place, "order-pipeline-deploy-e2e"))
        hand_over_failed_events(place)
        yield place
    finally:
        server.stop()


def two_datasets() -> Path:
    """Copy the contracts of orders and of web visits into one folder.

    The folder is always the same one, because the built zips are kept by its path.
    """
    folder = ROOT / "build" / "e2e-contracts"
    shutil.rmtree(folder, ignore_errors=True)
    for contract in (build.CONTRACTS / "orders", EXAMPLES / "web_visits"):
        shutil.copytree(contract, folder / contract.name)
    return folder


def draft(home: Path, dataset: str, sample: str, contracts: Path) -> None:
    """Draft a contract from a sample into a folder of contracts."""
    folder = home / dataset
    folder.mkdir()
    path = folder / sample
    path.write_text(SAMPLES[sample], "utf-8")
    rules = rules_here()
    read = read_sample([SampleFile(path, sample)], [], settings_of(rules), lambda _n_bytes: None)
    draft_and_try(read, dataset, rules, folder, lambda _file, _at: None)
    shutil.copytree(folder / "contracts", contracts, dirs_exist_ok=True)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait until the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.2)


def hand_over_failed_events(place: Target) -> None:
    """Send events that failed every retry to the failed-event queue, as configured for the alias.

    The embedded AWS reads only the configuration of the unqualified function name, so S3 invokes that name here.
    """
    functions, s3, bucket = place.client("lambda"), place.s3(), place.outputs()["ingest_bucket"]
    name = place.outputs()["function_names"]["starter"]
    retries = functions.get_function_event_invoke_config(FunctionName=name, Qualifier="live")
    functions.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=retries["MaximumRetryAttempts"],
        DestinationConfig=retries["DestinationConfig"],
    )
    functions_notified = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    unqualified = [
        {**one, "LambdaFunctionArn": one["LambdaFunctionArn"].removesuffix(":live")} for one in functions_notified
    ]
    configuration: Any = {"LambdaFunctionConfigurations": unqualified}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def event_of(uploaded: runs.Upload, size: int) -> str:
    """The event that S3 sends for an upload."""
    record = {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-01-01T00:00:00.000Z",
        "s3": {
            "bucket": {"name": uploaded.bucket},
            "object": {
                "key": quote_plus(uploaded.key),
                "size": size,
                "eTag": "e",
                "versionId": uploaded.version_id,
                "sequencer": "1",
            },
        },
    }
    return json.dumps({"Records": [record]})


class Pipeline:
    """Drives the deployed pipeline and collects the notifications that it sends."""

    def __init__(self, place: Target, folder: Path, subscriber: Subscriber) -> None:
        self.place = place
        self.folder = folder
        self.subscriber = subscriber

    def run(self, data: bytes, name: str, dataset: str = "orders") -> runs.RunResult:
        """Upload a file and wait for the end of its execution."""
        path = self.folder / name
        path.write_bytes(data)
        return self.end_of(runs.upload(self.place, path, dataset))

    def end_of(self, uploaded: runs.Upload) -> runs.RunResult:
        """Wait for the end of an upload's execution and return its result."""
        for _ in runs.follow(self.place, uploaded):
            pass
        return runs.outcome(self.place, uploaded)

    def tables(self, outcome: runs.RunResult) -> dict[str, Path]:
        """Download the files that a run published; by name."""
        assert outcome.published, f"{outcome.error}: {outcome.cause}"
        folder = self.folder / outcome.upload.batch_id
        runs.download_outputs(self.place, outcome, folder)
        return {path.name: path for path in folder.iterdir()}

    def notifications(self, batch_id: str, expected: int, seconds: float = 10) -> list[dict[str, str]]:
        """Return the notifications about a batch: wait for `expected` of them, then a second for a surplus one."""
        deadline = time.monotonic() + seconds
        while len(found := self.subscriber.notifications(batch_id)) < expected and time.monotonic() < deadline:
            time.sleep(0.2)
        if len(found) == expected:
            time.sleep(1)
        return self.subscriber.notifications(batch_id)

    def alarm(self, text: str) -> str:
        """The first published alarm that contains a string."""
        wait_for(lambda: any(text in str(one) for one in self.subscriber.alarms()), f"an alarm about {text}")
        return next(str(one) for one in self.subscriber.alarms() if text in str(one))

    def executions(self, name_prefix: str) -> list[Any]:
        """The executions whose names start with a prefix."""
        arn = self.place.outputs()["state_machine_arn"]
        pages = self.place.step_functions().get_paginator("list_executions").paginate(stateMachineArn=arn)
        return [run for page in pages for run in page["executions"] if run["name"].startswith(name_prefix)]


@pytest.fixture(scope="session")
def subscriber(place: Target) -> Iterator[Subscriber]:
    """Receives every notification and alarm of the deployed pipeline during all end-to-end tests."""
    with subscribed(place) as subscriber:
        yield subscriber


@pytest.fixture(scope="session")
def as_smoke_role(place: Target) -> Target:
    """The deployment with the role of `make smoke`, whose policies name this one instead of a temporary one."""
    return acting_as(place, SMOKE_ROLE, AS_THROW_AWAY)


@pytest.fixture
def pipeline(place: Target, tmp_path: Path, subscriber: Subscriber) -> Pipeline:
    return Pipeline(place, tmp_path, subscriber)


@pytest.fixture
def command(
    place: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run a command of the CLI in this process; return its exit status and output."""
    for module in (explain_commands, monitor_commands, recovery_commands, validate_command):
        monkeypatch.setattr(module, "target", lambda _: place)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments, "--target", "local"])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0), capsys.readouterr().out

    return run
