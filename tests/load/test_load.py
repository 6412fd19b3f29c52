"""A thousand files through the embedded AWS while AWS calls fail at random: every file is accounted for.

`LOAD_FILES` and `LOAD_SEED` in the environment set other values. The test prints the seed.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from functions.common import executions
from functions.common.batch import batch_id_for, failure_prefix, manifest_key, replay_of
from functions.common.batch_state import BatchState
from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from generate_data import generate
from pipeline import ROOT
from pipeline.deploy import build, deploy
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target, embedded_target
from pipeline.emulator import server as embedded
from pipeline.recover import restarts, undelivered
from pipeline.run import runs
from tests.e2e.conftest import event_of, hand_over_failed_events
from tests.e2e.notifications import Subscriber, subscribed
from tests.load.memory import Watch

pytestmark = pytest.mark.long

FILES = int(os.environ.get("LOAD_FILES", "1000"))
SEED = int(os.environ.get("LOAD_SEED", str(int(time.time()))))
IN_FLIGHT = 4
"""Files on their way at a time: each concurrent call is a process there."""

FAULTS = {
    "seed": SEED,
    "throttled": 0.03,
    "lost": 0.01,
    "killed": 0.005,
    "killed_starter": 0.1,  # it makes two calls and has three attempts, so it needs a higher share
    "killed_reconciler": 0.0001,  # it makes several calls for each file
    "lost_reconciler": 0.0005,
}
"""Shares of all calls."""

MOST_MEMORY = 4 << 30
_PATIENCE_SECONDS = 20
"""After that a file without an execution is left to the queue and to the reconciler."""

_DATA_ERRORS = ("EmptyFileError", "MalformedDocumentError", "NoValidRecordsError")
"""The errors of the files with bad data. The injected faults cause any other error."""

_ROUNDS = 10


@dataclass(frozen=True)
class File:
    """A file to upload, and its expected outcome."""

    key: str
    data: bytes
    published: int
    """How many records are published; 0: the file fails."""
    rejected: int
    total: Decimal
    """The sum of `total_amount` over the published records."""
    duplicates: int
    """How often its event is delivered again."""


def make_file(number: int, chance: random.Random) -> File:
    """One of several kinds of files: valid, with a bad record, without valid records; some overwrite a key."""
    kind = chance.choices(["good", "mixed", "hopeless"], [75, 15, 10])[0]
    count = chance.randint(12, 20)
    orders = [order for order, _ in generate(count, seed=SEED % 10**6 + number)]
    total = sum((Decimal(str(json.loads(order)["total_amount"])) for order in orders), Decimal(0))
    name = f"{number if chance.random() < 0.9 else number // 10}.jsonl"
    duplicates = chance.choices([0, 1, 3], [85, 10, 5])[0]
    if kind == "good":
        return File(f"load/{name}", b"\n".join(orders), count, 0, total, duplicates)
    if kind == "mixed":
        return File(f"load/{name}", b"\n".join([*orders, b'{"order_id": "half']), count, 1, total, duplicates)
    hopeless = chance.choice([b"", b"[" + orders[0], b"\n".join([b"{}"] * 10)])
    return File(f"load/{name.removesuffix('l')}", hopeless, 0, 0, Decimal(0), duplicates)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    home = tmp_path_factory.mktemp("load")
    server = embedded.start(home / "server", LAMBDA_ASYNC_RETRY_BASE_SECONDS="0.2", SFN_WAIT_SCALE="0")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def place(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The deployed pipeline, with functions whose calls fail."""
    packages = faulty_packages(tmp_path_factory.mktemp("packages"))
    place = embedded_target(server, server.home.parent, build.CONTRACTS, environment="load", packages_dir=str(packages))
    deploy.deploy(place)
    hand_over_failed_events(place)
    return place


@pytest.fixture(scope="module")
def subscriber(place: Target) -> Iterator[Subscriber]:
    """Receives what the pipeline publishes from its deployment on."""
    with subscribed(place) as subscriber:
        yield subscriber


def faulty_packages(folder: Path) -> Path:
    """The functions' zips, with a runtime client that makes their calls fail."""
    for path in build.build(build.local_runtime()):
        with ZipFile(path) as clean, ZipFile(folder / path.name, "w", ZIP_STORED) as faulty:
            for entry in clean.infolist():
                data = clean.read(entry)
                if entry.filename == "bootstrap":
                    assert b"-m awslambdaric" in data
                    data = data.replace(b"-m awslambdaric", b"-m faulty_runtime_client")
                faulty.writestr(entry, data)
            faulty.writestr(
                "faulty_runtime_client.py", (ROOT / "tests" / "load" / "faulty_runtime_client.py").read_bytes()
            )
            faulty.writestr("faults.json", json.dumps(FAULTS))
    return folder


def test_a_thousand_files_are_all_accounted_for(server: embedded.Server, place: Target, subscriber: Subscriber) -> None:
    print(f"\nLOAD_SEED={SEED} LOAD_FILES={FILES} faults={FAULTS}")
    chance = random.Random(SEED)
    files = [make_file(number, chance) for number in range(FILES)]
    began = time.monotonic()
    with Watch(server.pid) as memory:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            sent = dict(pool.map(lambda file: send(place, file), files))
        seconds = time.monotonic() - began
        print(f"sent in {seconds:.0f} s, {FILES / seconds:.1f} files a second; then: {states(place)}")
        recovered = recover(place)
    print(f"recovered: {dict(recovered)}; then: {states(place)}; {time.monotonic() - began:.0f} s in all")
    print(f"peak memory {memory.peak / 2**30:.2f} GiB in up to {memory.processes} processes")
    check(place, sent, subscriber)
    assert set(states(place)) <= {BatchState.PUBLISHED.value, BatchState.FAILED.value}
    assert memory.peak < MOST_MEMORY


def send(place: Target, file: File) -> tuple[str, File]:
    """Upload a file and wait for the end of its execution, if there is one. Returns its batch."""
    bucket, key = place.outputs()["ingest_bucket"], f"incoming/orders/{file.key}"
    version = place.s3().put_object(Bucket=bucket, Key=key, Body=file.data)["VersionId"]
    uploaded = runs.Upload(bucket, key, version, "orders", batch_id_for("orders", bucket, key, version), "")
    for _ in range(file.duplicates):
        place.client("lambda").invoke(
            FunctionName=place.outputs()["function_names"]["starter"],
            Qualifier="live",
            InvocationType="Event",
            Payload=event_of(uploaded, len(file.data)),
        )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    machine = place.outputs()["state_machine_arn"]
    while time.monotonic() < deadline:
        execution = executions.describe(place.step_functions(), machine, uploaded.batch_id)
        if execution and execution["status"] != "RUNNING":
            break
        time.sleep(0.2)
    return uploaded.batch_id, file


def states(place: Target) -> dict[str, int]:
    """The number of files in each state, from the operator's own survey."""
    findings = restarts.findings(place, restarts.Selection(), restarts.patience())
    return {state.value: number for state, number in Counter(finding.state for finding in findings).items()}


def recover(place: Target) -> Counter[str]:
    """Do what an operator does: send events back, reconcile and replay, until only data errors are left."""
    done: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        before = done.total()
        done["events sent back"] += sum(not error for _, error in undelivered.redrive(place))
        place.client("lambda").invoke(
            FunctionName=place.outputs()["function_names"]["reconciler"],
            Qualifier="live",
            Payload=json.dumps({"since_hours": 24, "grace_minutes": 0}),
        )
        time.sleep(2)
        starts = [start for start in restarts.replay(place, restarts.Selection(), failed_only=True) if start.batch]
        by_faults = [start for start in starts if error_of(place, start.batch_id) not in _DATA_ERRORS]
        done["replays"] += sum(1 for _ in restarts.run_all(place, by_faults, IN_FLIGHT))
        found = states(place)
        if done.total() == before and set(found) <= {BatchState.PUBLISHED.value, BatchState.FAILED.value}:
            break
    return done


def failures(place: Target, batch_id: str) -> list[FailureRecord]:
    """The failure records of a batch."""
    bucket = place.outputs()["processed_bucket"]
    listed = place.s3().list_objects_v2(Bucket=bucket, Prefix=failure_prefix("orders", batch_id)).get("Contents", [])
    return [record for found in listed if (record := read_document(place, FailureRecord, found["Key"]))]


def error_of(place: Target, batch_id: str) -> str:
    """The error in the latest failure record of a batch."""
    records = sorted(failures(place, batch_id), key=lambda record: replay_of(record.execution)[1])
    return records[-1].error if records else ""


def check(place: Target, sent: dict[str, File], subscriber: Subscriber) -> None:
    """Check that each file ended as expected, its counts add up, and each failed execution was notified once."""
    assert len(sent) == FILES
    notifications = Counter(
        line.removeprefix("Execution: ")
        for notification in subscriber.notifications("Execution: ")
        for line in notification["Message"].splitlines()
        if line.startswith("Execution: ")
    )
    machine, twice = place.outputs()["state_machine_arn"], 0
    for batch_id, file in sent.items():
        manifest = read_document(place, Manifest, manifest_key("orders", batch_id))
        records = failures(place, batch_id)
        assert executions.describe(place.step_functions(), machine, batch_id), f"{batch_id} was never started"
        assert (manifest is not None) == (file.published > 0), f"{file.key} ({batch_id}): {records}"
        if manifest:
            counts = manifest.counts
            assert (counts.published, counts.rejected) == (file.published, file.rejected), file.key
            assert counts.received == counts.valid + counts.rejected
            assert counts.valid == counts.published + counts.superseded
            assert Decimal(manifest.control_totals["total_amount"].published) == file.total, file.key
        else:
            assert error_of(place, batch_id) in _DATA_ERRORS, f"{file.key} ({batch_id}): {records}"
        for record in records:
            count = notifications.pop(record.execution, 0)
            assert count >= 1, f"{record['execution']} was not notified: {record}"
            twice += count > 1
    assert not notifications, f"notifications without a failure record: {notifications}"
    print(f"{twice} failures were notified twice, because the response to the first call was lost")
    assert twice <= FILES // 100
