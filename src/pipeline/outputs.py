"""Outputs against manifests: which outputs no manifest names, and which of those that one names are not there.

Only what a manifest names is published. An output without one is what a run left that did not commit: no reader who
follows manifests sees it, but it takes room, and a reader who does not would count it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from functions.common.batch import manifest_key
from functions.reconciler.survey import State, look_at_batch
from functions.write.publish import outputs_of
from pipeline.errors import CliError
from pipeline.recovery import EVER, dataset_of_batch, patience, pipeline_of
from pipeline.runs import read_json
from pipeline.targets import Target

_BATCH = re.compile(r"[a-z][a-z0-9_]{0,29}-[0-9a-f]{32}(?:-r[1-9]\d*)?(?=[./])")
_DELETED_AT_ONCE = 1000


@dataclass
class Listed:
    """The outputs of one batch that lie in the bucket: bytes by key, and when the last was written."""

    sizes: dict[str, int] = field(default_factory=dict)
    written: datetime = EVER


@dataclass(frozen=True)
class Checked:
    """One batch whose outputs are not what its manifest says."""

    batch_id: str
    orphans: tuple[str, ...]
    """Keys that no manifest and no failure record names."""
    missing: tuple[str, ...]
    """Keys that the manifest names and that are not there, or not with their size."""


def check_outputs(place: Target, since: datetime, until: datetime) -> Iterator[Checked]:
    """The batches ingested from `since` to `until` whose outputs are not what their manifest says.

    Day by day, so that memory grows with a day and not with the bucket; a batch that runs is passed over.
    """
    day = since.date()
    while day <= until.date():
        for batch_id, listed in _of_day(place, day).items():
            if listed.written <= until and (checked := _check(place, batch_id, listed)):
                yield checked
        day += timedelta(days=1)


def _of_day(place: Target, day: date) -> Mapping[str, Listed]:
    batches: defaultdict[str, Listed] = defaultdict(Listed)
    for prefix in prefixes_of_day(place, day):
        for found in _objects(place, prefix):
            batch = _BATCH.search(found["Key"])
            if batch:
                listed = batches[batch[0]]
                listed.sizes[found["Key"]] = found["Size"]
                listed.written = max(listed.written, found["LastModified"])
    return batches


def prefixes_of_day(place: Target, day: date | str) -> Iterator[str]:
    """What the keys of the outputs of one ingest date begin with, of every dataset; a day as text is ISO 8601."""
    for dataset in _folders(place, "tables/"):
        for table in _folders(place, dataset):
            yield f"{table}ingest_date={day}/"
    for dataset in _folders(place, "processed/"):
        yield f"{dataset}{day}/"
    for dataset in _folders(place, "rejected/"):
        yield f"{dataset}ingest_date={day}/"


def _folders(place: Target, prefix: str) -> list[str]:
    pages = place.s3.get_paginator("list_objects_v2").paginate(
        Bucket=place.outputs["processed_bucket"], Prefix=prefix, Delimiter="/"
    )
    return [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]


def _objects(place: Target, prefix: str) -> Iterator[Any]:
    pages = place.s3.get_paginator("list_objects_v2").paginate(Bucket=place.outputs["processed_bucket"], Prefix=prefix)
    for page in pages:
        yield from page.get("Contents", [])


def _check(place: Target, batch_id: str, listed: Listed) -> Checked | None:
    dataset = dataset_of_batch(batch_id)
    manifest = read_json(place, manifest_key(dataset, batch_id))
    if manifest is None:
        state = look_at_batch(pipeline_of(place), dataset, batch_id, patience()).state
        if state in (State.RUNNING, State.STUCK):
            return None
        named = {key: size for key, size in listed.sizes.items() if state is State.FAILED and _is_rejects(key)}
    else:
        named = {output["key"]: output["bytes"] for output in outputs_of(manifest)}
    orphans = tuple(sorted(listed.sizes.keys() - named.keys()))
    missing = tuple(sorted(key for key, size in named.items() if listed.sizes.get(key) != size))
    return Checked(batch_id, orphans, missing) if orphans or missing else None


def _is_rejects(key: str) -> bool:
    """The failure record of a file that failed for its rejects names them."""
    return key.startswith("rejected/")


def prune(place: Target, keys: Iterable[str]) -> None:
    """Delete outputs; for as long as the bucket keeps replaced versions, they can be brought back."""
    delete(place, place.outputs["processed_bucket"], [{"Key": key} for key in keys])


def delete(place: Target, bucket: str, objects: Sequence[Mapping[str, str]]) -> None:
    """Delete objects, or versions of them, a thousand a request. Raises CliError that names what S3 kept."""
    for at in range(0, len(objects), _DELETED_AT_ONCE):
        some: Any = {"Objects": objects[at : at + _DELETED_AT_ONCE], "Quiet": True}
        if errors := place.s3.delete_objects(Bucket=bucket, Delete=some).get("Errors"):
            first = errors[0]
            raise CliError(
                f"{len(errors)} objects could not be deleted; the first: {first.get('Key')} ({first.get('Code')}).",
                "Check the right to delete there (s3:DeleteObject, s3:DeleteObjectVersion) and run the same again.",
            )
