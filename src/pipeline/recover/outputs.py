"""Compares outputs with manifests, and finds unnamed and missing outputs.

Only outputs that a manifest names are published. A run that did not commit leaves the others. Readers that follow
manifests don't see them, but they use storage, and other readers would count them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from functions.common.batch import manifest_key
from functions.common.batch_state import BatchState, Finding, state_words
from functions.common.documents.manifest import Manifest
from pipeline.deploy.processed_bucket import read_document
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.recover.restarts import EVER, dataset_of_batch, look_at, writes_until

_BATCH = re.compile(r"[a-z][a-z0-9_]{0,29}-[0-9a-f]{32}(?:-r[1-9]\d*)?(?=[./])")
_DELETED_AT_ONCE = 1000
_YOUNG = timedelta(minutes=16)
"""The maximum time for which a function of an unknown execution may continue to write."""


@dataclass
class Listed:
    """The outputs of a batch in the bucket: sizes in bytes by key, and the time of the last write."""

    sizes: dict[str, int] = field(default_factory=dict)
    written: datetime = EVER


@dataclass(frozen=True)
class Checked:
    """A batch whose outputs differ from its manifest."""

    batch_id: str
    orphans: tuple[str, ...]
    """The keys that no manifest and no failure record names."""
    missing: tuple[str, ...]
    """The keys that the manifest names, but whose objects are missing or have another size or SHA-256."""
    kept: str = ""
    """Why the orphans must not be deleted. Empty if they can be deleted."""


def check_outputs(
    place: Target, since: datetime, until: datetime, published: Iterable[Finding] = (), *, digests: bool = False
) -> Iterator[Checked]:
    """Yield the batches ingested from `since` to `until` whose outputs differ from their manifest.

    The `published` batches are checked even if they have no outputs. With `digests`, the SHA-256 of every output is
    compared, with a request for each. Works day by day, so memory grows with a day and not with the bucket.
    """
    of_day: defaultdict[date, list[str]] = defaultdict(list)
    for finding in published:
        if finding.version:
            of_day[finding.version.last_modified.astimezone(UTC).date()].append(finding.batch_id)
    day, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    while day <= last:
        batches = _of_day(place, day)
        for batch_id in of_day[day]:
            batches.setdefault(batch_id, Listed())
        for batch_id, listed in batches.items():
            if listed.written <= until and (checked := _check(place, batch_id, listed, digests=digests)):
                yield checked
        day += timedelta(days=1)


def _of_day(place: Target, day: date) -> dict[str, Listed]:
    batches: defaultdict[str, Listed] = defaultdict(Listed)
    for prefix in prefixes_of_day(place, day):
        for found in _listed(place, "Contents[]", Prefix=prefix):
            if batch_id := batch_in(found["Key"]):
                listed = batches[batch_id]
                listed.sizes[found["Key"]] = found["Size"]
                listed.written = max(listed.written, found["LastModified"])
    return dict(batches)


def batch_in(key: str) -> str | None:
    """Return the name of the batch in a key of the processed bucket, or None."""
    batch = _BATCH.search(key)
    return batch[0] if batch else None


def prefixes_of_day(place: Target, day: date | str) -> Iterator[str]:
    """Yield the prefixes of the outputs of an ingest date in every dataset. A `day` string is ISO 8601."""
    for dataset in _folders(place, "tables/"):
        for table in _folders(place, dataset):
            yield f"{table}ingest_date={day}/"
    for dataset in _folders(place, "processed/"):
        yield f"{dataset}{day}/"
    for dataset in _folders(place, "rejected/"):
        yield f"{dataset}ingest_date={day}/"


def _folders(place: Target, prefix: str) -> Iterator[str]:
    return _listed(place, "CommonPrefixes[].Prefix", Prefix=prefix, Delimiter="/")


def _listed(place: Target, path: str, **selection: str) -> Iterator[Any]:
    """Yield the values at a JMESPath in the pages of a listing of the processed bucket."""
    paginator: Any = place.s3().get_paginator("list_objects_v2")
    pages = paginator.paginate(Bucket=place.outputs()["processed_bucket"], **selection)
    return (found for found in pages.search(path) if found is not None)


def _check(place: Target, batch_id: str, listed: Listed, *, digests: bool = False) -> Checked | None:
    manifest = read_document(place, Manifest, manifest_key(dataset_of_batch(batch_id), batch_id))
    if manifest is None:
        return _uncommitted(place, batch_id, listed)
    named = {output.key: output for output in manifest.outputs}
    missing = [
        key
        for key, output in named.items()
        if (key in listed.sizes or key != manifest.rejects_key)  # rejects may expire before tables
        and (listed.sizes.get(key) != output.bytes or (digests and _digest(place, key) != output.sha256))
    ]
    orphans = listed.sizes.keys() - named.keys()
    return Checked(batch_id, tuple(sorted(orphans)), tuple(sorted(missing))) if orphans or missing else None


def _uncommitted(place: Target, batch_id: str, listed: Listed) -> Checked | None:
    """Return the outputs of a batch without a manifest. They may be deleted only if its failure was notified."""
    finding = look_at(place, batch_id)
    if finding.state in (BatchState.RUNNING, BatchState.STUCK):
        return None
    orphans = tuple(sorted(listed.sizes))
    kept = f"the batch is {state_words(finding.state)}"
    if finding.state is BatchState.FAILED:
        orphans = tuple(key for key in orphans if not key.startswith("rejected/"))  # the failure record names them
        kept = ""
    if datetime.now(UTC) - listed.written < _YOUNG or writes_until(finding.execution):
        kept = "it is new, and a function may still be writing"
    return Checked(batch_id, orphans, (), kept) if orphans else None


def _digest(place: Target, key: str) -> str | None:
    head = place.s3().head_object(Bucket=place.outputs()["processed_bucket"], Key=key)
    return head["Metadata"].get("sha256")


def prune(place: Target, checked: Checked) -> tuple[str, ...]:
    """Delete the outputs of a batch that are still orphans, and return their keys.

    They can be restored for as long as the bucket keeps noncurrent versions.
    """
    sizes = dict.fromkeys(checked.orphans, 0)
    again = _check(place, checked.batch_id, Listed(sizes))
    keys = again.orphans if again and not again.kept else ()
    delete(place, place.outputs()["processed_bucket"], [{"Key": key} for key in keys])
    return keys


def delete(place: Target, bucket: str, objects: Sequence[Mapping[str, str]]) -> None:
    """Delete objects or object versions, a thousand per request. Raises CliError with the first key that S3 kept."""
    for at in range(0, len(objects), _DELETED_AT_ONCE):
        some: Any = {"Objects": objects[at : at + _DELETED_AT_ONCE], "Quiet": True}
        if errors := place.s3().delete_objects(Bucket=bucket, Delete=some).get("Errors"):
            first = errors[0]
            raise CliError(
                f"{len(errors)} objects could not be deleted. The first is {first.get('Key')} ({first.get('Code')}).",
                "Check your permissions (s3:DeleteObject, s3:DeleteObjectVersion), then run the command again.",
            )
