"""The oracle: every version that came in has exactly one outcome, and every outcome is what it says.

It reads only what lies in the buckets, the notices, the queue and the list of executions, and reckons everything
anew: nothing of the functions' own code is used, so that no fault of theirs can hide from it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests import harness
from tests.faults.batches import check_batch
from tests.faults.cloud import Cloud
from tests.faults.events import versions_in
from tests.faults.moto_state import Bucket, Stored, stored

PREFIXES = ("staging/", "rejected/", "processed/", "tables/", "manifests/", "failures/")
OUTPUTS = ("rejected/", "processed/", "tables/")


@dataclass(frozen=True)
class Account:
    """What became of every version, by its id."""

    published: Mapping[str, dict[str, Any]]
    """Their manifests."""
    failed: Mapping[str, list[dict[str, Any]]]
    """The failure records of those that have no manifest."""
    waiting: frozenset[str]
    """Those whose event is in the queue, and that have neither."""


def check(cloud: Cloud, *, notices_may_repeat: bool = False) -> Account:
    """See that nothing is lost, nothing is there twice and nothing is half there; answers the account.

    `notices_may_repeat` where the answer to a notice was lost: SNS has no way to ask whether one was sent.
    """
    processed = stored(harness.PROCESSED)
    strangers = [key for key in processed if not key.startswith(PREFIXES)]
    assert not strangers, f"outside of the known prefixes: {strangers}"
    came_in = _came_in(cloud)
    manifests = dict(_manifests(processed, came_in))
    records = list(_failure_records(processed))
    for version, manifest in manifests.items():
        _check_published(processed, manifest, came_in[version].data or b"")
    _check_executions(cloud, manifests, records, processed, notices_may_repeat)

    waiting = {version for record in cloud.queue for version in versions_in(record["requestPayload"])}
    failed: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["source"]["version_id"] not in manifests:
            failed.setdefault(record["source"]["version_id"], []).append(record)
    lost = came_in.keys() - manifests.keys() - failed.keys() - waiting
    names = {sent.version_id: sent.key for sent in cloud.uploads}
    assert not lost, f"neither published nor failed nor waiting in the queue: {[names[v] for v in lost]}"
    return Account(manifests, failed, frozenset(waiting - manifests.keys() - failed.keys()))


def check_published(cloud: Cloud, manifest: Mapping[str, Any]) -> None:
    """See, as a reader who follows a manifest would, that everything that it names is there and is what it says."""
    source = next(sent for sent in cloud.uploads if sent.version_id == manifest["source"]["version_id"])
    _check_published(stored(harness.PROCESSED), manifest, source.data)


def _check_published(processed: Bucket, manifest: Mapping[str, Any], source: bytes) -> None:
    """Also that nothing lies beside the outputs of the batch, under its name, that the manifest does not name."""
    committed = processed[_manifest_key(manifest)][0].time
    check_batch(manifest, source, lambda key: _since(processed, key, committed))
    named = {output["key"] for table in manifest["tables"].values() for output in (table["parquet"], table["csv"])}
    named |= {manifest["rejects"]["key"]} if manifest["rejects"] else set()
    there = {key for key in processed if key.startswith(OUTPUTS) and manifest["batch_id"] in key}
    assert there == named, f"the manifest of {manifest['batch_id']} does not name {there - named}"


def _came_in(cloud: Cloud) -> dict[str, Stored]:
    """Every version under incoming/, folder markers aside; nobody but producers may have written there."""
    sent = {(upload.key, upload.version_id): upload.data for upload in cloud.uploads}
    there = {
        (key, version.version_id): version
        for key, versions in stored(harness.INGEST).items()
        for version in versions
        if key.startswith("incoming/") and not key.endswith("/")
    }
    assert {place: version.data for place, version in there.items()} == sent, "somebody wrote to the ingest bucket"
    return {version_id: version for (_, version_id), version in there.items()}


def _manifests(processed: Bucket, came_in: Mapping[str, Stored]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every manifest by the version that it publishes: one for each, written once."""
    seen = set()
    for key, versions in processed.items():
        if not key.startswith("manifests/"):
            continue
        assert len(versions) == 1, f"{key} was written {len(versions)} times; a commit is made once"
        assert versions[0].data is not None
        manifest = json.loads(versions[0].data)
        source = manifest["source"]["version_id"]
        assert source in came_in, f"{key} publishes a version that never came in"
        assert source not in seen, f"{key} publishes a version for the second time"
        assert key == _manifest_key(manifest), f"{key} is the manifest of {manifest['batch_id']}"
        seen.add(source)
        yield source, manifest


def _manifest_key(manifest: Mapping[str, Any]) -> str:
    return f"manifests/{manifest['dataset']}/{manifest['batch_id']}.json"


def _failure_records(processed: Bucket) -> Iterator[dict[str, Any]]:
    """Every failure record; of all that is in it, only who was notified may ever have changed."""
    for key, versions in processed.items():
        if not key.startswith("failures/"):
            continue
        contents = [json.loads(version.data or b"{}") for version in versions]
        said = [{name: value for name, value in content.items() if name != "notified_by"} for content in contents]
        assert all(content == said[0] for content in said), f"{key} was written again, and says something else"
        assert key.rpartition("/")[2] == f"{contents[-1]['execution']}.json", f"{key} is of another execution"
        yield {**contents[-1], "written": versions[0].time}


def _since(processed: Bucket, key: str, committed: Any) -> list[bytes | None]:
    """The object that stood at `key` at the commit, if one did, and what was written there afterwards."""
    versions = processed.get(key, [])
    before = [version for version in versions if version.time <= committed]
    return [version.data for version in (*before[-1:], *versions[len(before) :])]


def _check_executions(
    cloud: Cloud,
    manifests: Mapping[str, dict[str, Any]],
    records: list[dict[str, Any]],
    processed: Bucket,
    notices_may_repeat: bool,
) -> None:
    """A failed execution has a record and one notice, a successful one a manifest and, with rejects, one notice."""
    by_execution = {record["execution"]: record for record in records}
    statuses = {execution.name: execution.status for execution in cloud.executions}
    running = [name for name, status in statuses.items() if status == "RUNNING"]
    assert not running, f"still running, so that their outcome is not known: {running}"
    assert not cloud.status_changes, "EventBridge has still to tell of failed executions: call Cloud.settle() first"
    assert len(statuses) == len(cloud.executions), "two executions have one name"

    failed = {name for name, status in statuses.items() if status != "SUCCEEDED"}
    assert by_execution.keys() == failed, (
        f"without a failure record: {failed - by_execution.keys()}; with one, but not failed: "
        f"{by_execution.keys() - failed}"
    )
    for name in failed:
        told = [notice for notice in cloud.notices if _names(name, notice["message"])]
        if by_execution[name]["published"] and not told:  # it was ended when its last word was said: that of rejects
            told = [n for n in cloud.notices if _tells_rejects(by_execution[name]["batch_id"], n)][:1]
        enough = len(told) >= 1 if notices_may_repeat else len(told) == 1
        assert enough, f"{name} failed, and {len(told)} notices told of it instead of one"
        _check_record(by_execution[name], manifests, processed)

    by_source = {manifest["batch_id"]: manifest for manifest in manifests.values()}
    succeeded = Counter(re.sub(r"-replay-\d+$", "", name) for name in statuses.keys() - failed)
    for batch_id, times in succeeded.items():
        assert batch_id in by_source, f"{batch_id} has succeeded without a manifest"
        told = [notice for notice in cloud.notices if _tells_rejects(batch_id, notice)]
        expected = times if by_source[batch_id]["counts"]["rejected"] else 0
        enough = len(told) >= expected if notices_may_repeat or expected else not told
        assert enough, f"{batch_id} has succeeded {times} times, and {len(told)} notices told of its rejects"
        assert expected or not told, f"{batch_id} has no rejects, and a notice tells of some"


def _check_record(record: Mapping[str, Any], manifests: Mapping[str, dict[str, Any]], processed: Bucket) -> None:
    """A record says `published` exactly if the manifest stood when it was written, and names rejects that are there."""
    manifest = manifests.get(record["source"]["version_id"])
    committed = manifest is not None and processed[_manifest_key(manifest)][0].time <= record["written"]
    assert record["published"] == committed, (
        f"the failure record of {record['execution']} says published: {record['published']}, "
        f"but the manifest {'stood' if committed else 'did not stand'} when it was written"
    )
    if record["rejects"]:
        assert record["rejects"].removeprefix(f"s3://{harness.PROCESSED}/") in processed, "the rejects are not there"


def _names(execution: str, message: str) -> bool:
    """Whether a notice is of this very execution, not of a replay of it."""
    return re.search(rf"[Ee]xecution:? {re.escape(execution)}(?![-\w])", message) is not None


def _tells_rejects(batch_id: str, notice: Mapping[str, str]) -> bool:
    return "records were rejected" in notice["subject"] and f"Batch: {batch_id}\n" in notice["message"]
