"""Check the final state: every uploaded version has exactly one outcome, and every outcome is correct.

It reads only the buckets, the notifications, the queue and the list of executions, and recalculates everything. It
uses none of the functions' code, so that a fault there cannot hide itself.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests import harness
from tests.faults.batch_check import check_batch
from tests.faults.events import versions_in
from tests.faults.moto_state import Bucket, Stored, stored
from tests.faults.simulated_cloud import Cloud

PREFIXES = ("staging/", "rejected/", "processed/", "tables/", "manifests/", "failures/")
OUTPUTS = ("rejected/", "processed/", "tables/")


@dataclass(frozen=True)
class Outcomes:
    """The outcome of every version, by its id."""

    published: Mapping[str, dict[str, Any]]
    """The manifests of published versions."""
    failed: Mapping[str, list[dict[str, Any]]]
    """The failure records of versions without a manifest."""
    waiting: frozenset[str]
    """Versions without either, whose event is in the queue."""


def check(cloud: Cloud, *, notifications_may_repeat: bool = False) -> Outcomes:
    """Check that nothing is lost, duplicated or incomplete. Returns the outcomes.

    Set `notifications_may_repeat` if the response to a notification was lost: SNS can't say whether one was sent.
    """
    processed = stored(harness.PROCESSED)
    unexpected = [key for key in processed if not key.startswith(PREFIXES)]
    assert not unexpected, f"outside of the known prefixes: {unexpected}"
    uploaded = _uploaded(cloud)
    manifests = dict(_manifests(processed, uploaded))
    records = list(_failure_records(processed))
    for version, manifest in manifests.items():
        _check_published(processed, manifest, uploaded[version].data or b"")
    _check_executions(cloud, manifests, records, processed, notifications_may_repeat)

    waiting = {version for record in cloud.queue for version in versions_in(record["requestPayload"])}
    failed: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["source"]["version_id"] not in manifests:
            failed.setdefault(record["source"]["version_id"], []).append(record)
    lost = uploaded.keys() - manifests.keys() - failed.keys() - waiting
    names = {sent.version_id: sent.key for sent in cloud.uploads}
    assert not lost, f"neither published nor failed nor waiting in the queue: {[names[v] for v in lost]}"
    return Outcomes(manifests, failed, frozenset(waiting - manifests.keys() - failed.keys()))


def check_published(cloud: Cloud, manifest: Mapping[str, Any]) -> None:
    """Check, as a reader who follows a manifest, that every output in it exists and matches."""
    source = next(sent for sent in cloud.uploads if sent.version_id == manifest["source"]["version_id"])
    _check_published(stored(harness.PROCESSED), manifest, source.data)


def _check_published(processed: Bucket, manifest: Mapping[str, Any], source: bytes) -> None:
    """Also check that the batch has no other outputs than those in the manifest."""
    committed = processed[_manifest_key(manifest)][0].time
    check_batch(manifest, source, lambda key: _since(processed, key, committed))
    named = {output["key"] for table in manifest["tables"].values() for output in (table["parquet"], table["csv"])}
    named |= {manifest["rejects"]["key"]} if manifest["rejects"] else set()
    there = {key for key in processed if key.startswith(OUTPUTS) and manifest["batch_id"] in key}
    assert there == named, f"the manifest of {manifest['batch_id']} does not name {there - named}"


def _uploaded(cloud: Cloud) -> dict[str, Stored]:
    """Every version under incoming/, except folder markers. Only producers may write there."""
    sent = {(upload.key, upload.version_id): upload.data for upload in cloud.uploads}
    there = {
        (key, version.version_id): version
        for key, versions in stored(harness.INGEST).items()
        for version in versions
        if key.startswith("incoming/") and not key.endswith("/")
    }
    assert {place: version.data for place, version in there.items()} == sent, (
        "the ingest bucket has other objects than those uploaded"
    )
    return {version_id: version for (_, version_id), version in there.items()}


def _manifests(processed: Bucket, uploaded: Mapping[str, Stored]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every manifest by the version that it publishes: one per version, written once."""
    seen = set()
    for key, versions in processed.items():
        if not key.startswith("manifests/"):
            continue
        assert len(versions) == 1, f"{key} was written {len(versions)} times; a commit is made once"
        assert versions[0].data is not None
        manifest = json.loads(versions[0].data)
        source = manifest["source"]["version_id"]
        assert source in uploaded, f"{key} publishes a version that was never uploaded"
        assert source not in seen, f"{key} publishes a version that another manifest publishes, too"
        assert key == _manifest_key(manifest), f"{key} is the manifest of {manifest['batch_id']}"
        seen.add(source)
        yield source, manifest


def _manifest_key(manifest: Mapping[str, Any]) -> str:
    return f"manifests/{manifest['dataset']}/{manifest['batch_id']}.json"


def _failure_records(processed: Bucket) -> Iterator[dict[str, Any]]:
    """Every failure record. Only `notified_by` may ever have changed."""
    for key, versions in processed.items():
        if not key.startswith("failures/"):
            continue
        contents = [json.loads(version.data or b"{}") for version in versions]
        said = [{name: value for name, value in content.items() if name != "notified_by"} for content in contents]
        assert all(content == said[0] for content in said), f"{key} was written again with other content"
        assert key.rpartition("/")[2] == f"{contents[-1]['execution']}.json", f"{key} describes another execution"
        yield {**contents[-1], "written": versions[0].time}


def _since(processed: Bucket, key: str, committed: Any) -> list[bytes | None]:
    """The object at `key` when the batch was committed, if there was one, and everything written there afterwards."""
    versions = processed.get(key, [])
    before = [version for version in versions if version.time <= committed]
    return [version.data for version in (*before[-1:], *versions[len(before) :])]


def _check_executions(
    cloud: Cloud,
    manifests: Mapping[str, dict[str, Any]],
    records: list[dict[str, Any]],
    processed: Bucket,
    notifications_may_repeat: bool,
) -> None:
    """A failed execution has a record and one notification. A successful one has a manifest, and one about rejects."""
    by_execution = {record["execution"]: record for record in records}
    statuses = {execution.name: execution.status for execution in cloud.executions}
    running = [name for name, status in statuses.items() if status == "RUNNING"]
    assert not running, f"still running, so their outcome is unknown: {running}"
    assert not cloud.status_changes, "events of failed executions are not delivered yet: call Cloud.settle()"
    assert len(statuses) == len(cloud.executions), "two executions have the same name"

    failed = {name for name, status in statuses.items() if status != "SUCCEEDED"}
    assert by_execution.keys() == failed, (
        f"without a failure record: {failed - by_execution.keys()}; with one, but not failed: "
        f"{by_execution.keys() - failed}"
    )
    for name in failed:
        sent_for_it = [
            notification for notification in cloud.notifications if _is_about_execution(name, notification["message"])
        ]
        if by_execution[name]["published"] and not sent_for_it:  # ended after it reported rejects
            sent_for_it = [n for n in cloud.notifications if _is_about_rejects(by_execution[name]["batch_id"], n)][:1]
        enough = len(sent_for_it) >= 1 if notifications_may_repeat else len(sent_for_it) == 1
        assert enough, f"{name} failed, with {len(sent_for_it)} notifications instead of one"
        _check_record(by_execution[name], manifests, processed)

    by_source = {manifest["batch_id"]: manifest for manifest in manifests.values()}
    succeeded = Counter(re.sub(r"-replay-\d+$", "", name) for name in statuses.keys() - failed)
    for batch_id, times in succeeded.items():
        assert batch_id in by_source, f"{batch_id} has succeeded without a manifest"
        sent_for_it = [
            notification for notification in cloud.notifications if _is_about_rejects(batch_id, notification)
        ]
        expected = times if by_source[batch_id]["counts"]["rejected"] else 0
        enough = len(sent_for_it) >= expected if notifications_may_repeat or expected else not sent_for_it
        assert enough, (
            f"{batch_id} has succeeded {times} times, with {len(sent_for_it)} notifications about its rejects"
        )
        assert expected or not sent_for_it, f"{batch_id} has no rejects, but a notification about rejects"


def _check_record(record: Mapping[str, Any], manifests: Mapping[str, dict[str, Any]], processed: Bucket) -> None:
    """A record says `published` only if the manifest existed when it was written. The rejects that it names exist."""
    manifest = manifests.get(record["source"]["version_id"])
    committed = manifest is not None and processed[_manifest_key(manifest)][0].time <= record["written"]
    assert record["published"] == committed, (
        f"the failure record of {record['execution']} says published: {record['published']}, "
        f"but the manifest {'existed' if committed else 'did not exist'} when it was written"
    )
    if record["rejects"]:
        assert record["rejects"].removeprefix(f"s3://{harness.PROCESSED}/") in processed, "the rejects do not exist"


def _is_about_execution(execution: str, message: str) -> bool:
    """Whether a notification is about exactly this execution, not about a replay of it."""
    return re.search(rf"[Ee]xecution:? {re.escape(execution)}(?![-\w])", message) is not None


def _is_about_rejects(batch_id: str, notification: Mapping[str, str]) -> bool:
    return "records rejected" in notification["subject"] and f"Batch: {batch_id}\n" in notification["message"]
