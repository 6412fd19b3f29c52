"""Erases a batch permanently: its source version, and every version of every object created from it."""

import re
from collections.abc import Iterator
from itertools import groupby

from functions.common.batch import Batch, failure_prefix, manifest_key, revision_of, run_prefix
from functions.common.batch_state import latest_execution
from functions.common.planning import PREFIX
from pipeline.deploy.targets import Target
from pipeline.errors import CliError, UsageError
from pipeline.recover import restarts
from pipeline.recover.outputs import delete, prefixes_of_day

StoredVersion = tuple[str, str, str]
"""The bucket, key and version ID of an object version."""


def find_batch(place: Target, batch_id: str) -> Batch:
    """Return the batch with this ID, from its records or its source.

    Raises UsageError if there is no such batch. Raises CliError while a function may still write outputs of a revision,
    because these outputs would survive the erasure.
    """
    finding = restarts.find(place, batch_id, restarts.patience())
    batch = restarts.batch_of(place, finding)
    if batch is None:
        raise UsageError(f"There is no batch {batch_id}.", "Copy the batch's name from its notification.")
    pipeline = restarts.pipeline_of(place)
    for revision in _revisions(place, batch):
        latest = latest_execution(pipeline, revision, restarts.look_at(place, revision).replays)
        if latest and (latest["status"] == "RUNNING" or restarts.writes_until(latest)):
            raise CliError(f"{latest['name']} is running or was just stopped.", "Try again when it has ended.")
    return batch


def _revisions(place: Target, batch: Batch) -> list[str]:
    """Return the IDs of a batch's revisions that have records or outputs, and of the next, which may have started."""
    base, _ = revision_of(batch.batch_id)
    found = [
        name[0] for _, key, _ in stored_versions(place, batch) if (name := re.search(rf"{base}(?:-r[1-9]\d*)?", key))
    ]
    last = max((revision_of(name)[1] for name in found), default=1)
    return [restarts.revision_id(base, number) for number in range(1, last + 2)]


def corrections(place: Target, batch: Batch) -> list[str]:
    """Return the keys of files that correct rejects of a batch. Each is a separate batch with some of its records."""
    base, _ = revision_of(batch.batch_id)
    prefix = f"{PREFIX}{batch.dataset}/corrections/{base}-"
    return sorted({key for _, key, _ in _versions(place, place.outputs()["ingest_bucket"], prefix)})


def stored_versions(place: Target, batch: Batch) -> list[StoredVersion]:
    """Return every version of every object of a batch, in all revisions: manifests first, the source last.

    In this order, no reader sees a half-erased batch, and an interrupted erasure can be repeated.
    """
    base, _ = revision_of(batch.batch_id)
    processed = place.outputs()["processed_bucket"]
    prefixes = [
        manifest_key(batch.dataset, base).removesuffix(".json"),
        *(f"{prefix}{base}" for prefix in prefixes_of_day(place, batch.ingest_date)),
        f"staging/{batch.dataset}/{base}",
        failure_prefix(batch.dataset, base).removesuffix("/"),
        run_prefix(batch.dataset, base).removesuffix("/"),
    ]
    found = [one for prefix in prefixes for one in _versions(place, processed, prefix)]
    if restarts.source_state(place, batch.source) is not restarts.SourceState.GONE:
        found.append((batch.source.bucket, batch.source.key, batch.source.version_id))
    return found


def _versions(place: Target, bucket: str, prefix: str) -> Iterator[StoredVersion]:
    """Yield the versions under a prefix, including delete markers."""
    for page in place.s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for found in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            yield bucket, found["Key"], found["VersionId"]


def erase(place: Target, found: list[StoredVersion]) -> None:
    """Delete versions permanently: manifests, then the objects that they name, then the source."""
    processed = place.outputs()["processed_bucket"]
    for (bucket, _), group in groupby(found, key=lambda one: (one[0], one[1].startswith("manifests/"))):
        if bucket == processed:
            delete(place, bucket, [{"Key": key, "VersionId": version_id} for _, key, version_id in group])
            continue
        for _, key, version_id in group:  # one by one: a request for several keys is XML, which can't hold every key
            place.s3().delete_object(Bucket=bucket, Key=key, VersionId=version_id)
