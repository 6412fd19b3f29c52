"""Erasing a batch for good: its source version and every version of everything that was made of it."""

from collections.abc import Iterator
from itertools import groupby

from functions.common.batch import Batch, failure_prefix, manifest_key, revision_of
from functions.reconciler.survey import batch_id_of, look_at, versions
from pipeline.errors import UsageError
from pipeline.outputs import delete, prefixes_of_day
from pipeline.recovery import Selection, batch_of, findings, patience, pipeline_of
from pipeline.targets import Target

Trace = tuple[str, str, str]
"""Bucket, key and version id of one version of one object."""


def find_batch(place: Target, batch_id: str) -> Batch:
    """The batch called so, by its traces or by its source. Raises UsageError where there is neither."""
    [finding] = findings(place, Selection(batches=(batch_id,)), patience())
    try:
        return batch_of(place, finding)
    except UsageError:
        pipeline = pipeline_of(place)
        base, _ = revision_of(batch_id)
        for version in versions(pipeline):
            if base == batch_id_of(pipeline, version):
                return batch_of(place, look_at(pipeline, version, patience()))
        raise


def traces(place: Target, batch: Batch) -> list[Trace]:
    """Every version of every object that a batch has left, in all its revisions: its manifests first, its source last.

    In this order nobody reads a batch that is half erased, and an erasure that was interrupted is simply repeated.
    """
    base, _ = revision_of(batch.batch_id)
    processed = place.outputs["processed_bucket"]
    prefixes = [
        manifest_key(batch.dataset, base).removesuffix(".json"),
        *(f"{prefix}{base}" for prefix in prefixes_of_day(place, batch.ingest_date)),
        f"staging/{batch.dataset}/{base}",
        failure_prefix(batch.dataset, base).removesuffix("/"),
    ]
    found = [trace for prefix in prefixes for trace in _versions(place, processed, prefix)]
    source = (batch.source.bucket, batch.source.key, batch.source.version_id)
    return [*found, *(trace for trace in _versions(place, *source[:2]) if trace == source)]


def _versions(place: Target, bucket: str, prefix: str) -> Iterator[Trace]:
    """The versions under a prefix, delete markers included."""
    for page in place.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for found in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            yield bucket, found["Key"], found["VersionId"]


def erase(place: Target, found: list[Trace]) -> None:
    """Delete these versions for good: manifests, then what they name, then the source."""
    for (bucket, _), traces in groupby(found, key=lambda trace: (trace[0], trace[1].startswith("manifests/"))):
        delete(place, bucket, [{"Key": key, "VersionId": version_id} for _, key, version_id in traces])
