"""The outcome checks: they detect everything that is lost, duplicated, incomplete or wrong, and name it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from functions.common import s3_utils
from tests import harness
from tests.faults import order_files, outcome_check
from tests.faults.events import TOPIC
from tests.faults.moto_state import executions, forge, hide, sent_notifications, undone
from tests.faults.simulated_cloud import Cloud, clouds

PROCESSED = harness.PROCESSED


@pytest.fixture(scope="module")
def settled() -> Iterator[Cloud]:
    """A cloud with one file that was published with a reject, and one that failed."""
    with clouds() as cloud:
        cloud.upload(order_files.mixed())
        cloud.upload(order_files.hopeless(1))
        cloud.settle()
        change_counts = outcome_check.check(cloud)
        assert (len(change_counts.published), len(change_counts.failed), change_counts.waiting) == (1, 1, frozenset())
        yield cloud


@pytest.fixture
def cloud(settled: Cloud) -> Iterator[Cloud]:
    """The same cloud for each test."""
    lists: tuple[list[Any], ...] = (settled.uploads, sent_notifications(), executions())
    before = [list(kept) for kept in lists]
    with undone(PROCESSED, harness.INGEST):
        yield settled
    for kept, contents in zip(lists, before, strict=True):
        kept[:] = contents
    executions()[1].status = "FAILED"
    settled.events.clear()
    settled.status_changes.clear()


def key_of(cloud: Cloud, prefix: str) -> str:
    return min(cloud.objects(prefix), key=len)


def remove(_: Cloud, prefix: str) -> None:
    """Remove every trace of an object."""
    hide(PROCESSED, prefix)


def append(cloud: Cloud, prefix: str) -> None:
    key = key_of(cloud, prefix)
    s3_utils.storage().put_bytes(PROCESSED, key, cloud.objects()[key] + b" ")


def delete(cloud: Cloud, prefix: str) -> None:
    boto3.client("s3").delete_object(Bucket=PROCESSED, Key=key_of(cloud, prefix))


def put(_: Cloud, key: str, bucket: str = PROCESSED) -> None:
    s3_utils.storage().put_bytes(bucket, key, b"{}")


def rewrite(cloud: Cloud, prefix: str, change: Callable[[Any], Any]) -> None:
    """Change members of a JSON object without a new version."""
    key = key_of(cloud, prefix)
    content = json.loads(cloud.objects()[key])
    change(content)
    forge(PROCESSED, key, json.dumps(content).encode())


def change_counts(cloud: Cloud, **changes: int) -> None:
    """Change the counts, and everything else that has to match them."""
    rewrite(cloud, "manifests/", lambda manifest: manifest["counts"].update(changes))


def publish(cloud: Cloud, execution: int) -> None:
    name = cloud.executions[execution].name
    boto3.client("sns").publish(TopicArn=TOPIC, Subject="again", Message=f"Execution: {name}\n")


def forge_table(cloud: Cloud, folder: Path, name: str, select: str) -> None:
    """Change a table by a SELECT over itself, and make the manifest match."""
    (key,) = cloud.objects(f"tables/orders/{name}/")
    own, forged = folder / "own.parquet", folder / "forged.parquet"
    own.write_bytes(cloud.objects()[key])
    duckdb.sql(f"COPY (WITH own AS (FROM read_parquet('{own}')) {select}) TO '{forged}' (FORMAT parquet)")
    forge(PROCESSED, key, forged.read_bytes())
    said = {"bytes": forged.stat().st_size, "sha256": hashlib.sha256(forged.read_bytes()).hexdigest()}
    rewrite(cloud, "manifests/", lambda manifest: manifest["tables"][name]["parquet"].update(said))


FAULTY_STATES: dict[str, tuple[Callable[[Cloud], Any], str]] = {
    "a manifest is gone": (lambda c: remove(c, "manifests/"), "has succeeded without a manifest"),
    "a manifest is deleted": (lambda c: delete(c, "manifests/"), "was written 2 times"),
    "a manifest is written again": (lambda c: append(c, "manifests/"), "was written 2 times"),
    "a manifest is renamed": (
        lambda c: rewrite(c, "manifests/", lambda m: m.update(batch_id="x")),
        "is the manifest of x",
    ),
    "an output is gone": (lambda c: remove(c, "tables/orders/items/"), "was not there when the manifest was written"),
    "an output is deleted": (lambda c: delete(c, "processed/"), "was deleted after the commit"),
    "an output is changed": (lambda c: append(c, "tables/"), "is not what its manifest says"),
    "the rejects are changed": (lambda c: append(c, "rejected/"), "is not what its manifest says"),
    "an additional output": (
        lambda c: put(c, f"tables/orders/orders/ingest_date=x/{c.executions[0].name}.parquet"),
        "does not name",
    ),
    "a record is lost": (lambda c: change_counts(c, received=4), "received is not valid"),
    "an additional record": (lambda c: change_counts(c, received=6, valid=5, superseded=2), "its file has 5 records"),
    "a superseded record is not counted": (lambda c: change_counts(c, published=4, superseded=0), "the rejects are"),
    "a wrong row count": (
        lambda c: rewrite(c, "manifests/", lambda m: m["tables"]["items"].update(rows=1)),
        "items has 6 rows, 6 in CSV, its manifest says 1",
    ),
    "a wrong control total": (
        lambda c: rewrite(c, "manifests/", lambda m: m["control_totals"]["line_total"].update(superseded="0")),
        "the control total line_total is",
    ),
    "a failure record is gone": (lambda c: remove(c, "failures/"), "without a failure record"),
    "an additional failure record": (
        lambda c: setattr(c.executions[1], "status", "SUCCEEDED"),
        "with one, but not failed",
    ),
    "a failure record is changed": (
        lambda c: put(c, key_of(c, "failures/")),
        "was written again with other content",
    ),
    "a failure record says published": (
        lambda c: rewrite(c, "failures/", lambda r: r.update(published=True)),
        "says published: True, but the manifest did not exist",
    ),
    "a failure is notified twice": (lambda c: publish(c, 1), "2 notifications instead of one"),
    "no notification is sent": (lambda c: sent_notifications().clear(), "0 notifications instead of one"),
    "an event is lost": (lambda c: (c.upload(b""), c.events.clear()), "neither published nor failed nor waiting"),
    "an execution runs": (lambda c: (c.upload(b""), c.deliver()), "still running"),
    "an EventBridge event is not delivered": (lambda c: (c.upload(b""), c.deliver(), c.run()), "are not delivered yet"),
    "an object under an unknown prefix": (lambda c: put(c, "tmp/x"), "outside of the known prefixes"),
    "the source is written to": (
        lambda c: put(c, "incoming/orders/y.jsonl", harness.INGEST),
        "the ingest bucket has other objects",
    ),
}


@pytest.mark.parametrize("faulty_state", FAULTY_STATES)
def test_the_check_detects_a_faulty_state(cloud: Cloud, faulty_state: str) -> None:
    harm, said = FAULTY_STATES[faulty_state]
    harm(cloud)
    with pytest.raises(AssertionError, match=said):
        outcome_check.check(cloud)


@pytest.mark.parametrize(
    ("name", "select", "said"),
    [
        ("orders", "FROM own LIMIT 2", "orders has 2 rows, 3 in CSV"),
        ("orders", "SELECT * REPLACE (total_amount + 0.0001 AS total_amount) FROM own", "control total total_amount"),
        ("orders", "SELECT * REPLACE ('other' AS customer_id) FROM own", "an order without its customer"),
        ("orders", "SELECT * REPLACE ('other' AS batch_id) FROM own", "a row of another batch"),
        ("orders", "SELECT * REPLACE ('0-a' AS order_id) FROM own", "an item without its order|an order twice"),
        ("items", "SELECT * REPLACE (line_total - 0.01 AS line_total) FROM own", "control total line_total"),
    ],
)
def test_the_check_recalculates_the_tables(cloud: Cloud, tmp_path: Path, name: str, select: str, said: str) -> None:
    forge_table(cloud, tmp_path, name, select)
    with pytest.raises(AssertionError, match=said):
        outcome_check.check(cloud)


def test_a_repeated_notification_is_accepted_only_if_allowed(cloud: Cloud) -> None:
    publish(cloud, 1)
    outcome_check.check(cloud, notifications_may_repeat=True)
    sent_notifications().clear()
    with pytest.raises(AssertionError, match="0 notifications"):
        outcome_check.check(cloud, notifications_may_repeat=True)


def test_the_notification_of_a_replay_does_not_count_for_the_first_execution(cloud: Cloud) -> None:
    cloud.replay(cloud.executions[1].name)
    cloud.settle()
    outcome_check.check(cloud)
    assert len(cloud.notifications) == 3
