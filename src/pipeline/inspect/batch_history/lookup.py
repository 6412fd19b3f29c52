"""From what a person names to a batch: a key, a batch, an execution, or an address of any of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from functions.common import executions
from functions.common.batch import Batch, is_batch_id, replay_of
from functions.common.batch_state import ObjectVersion, batch_id_of
from functions.common.planning import PREFIX, is_folder_marker
from pipeline.deploy.targets import Target
from pipeline.errors import UsageError
from pipeline.recover import restarts
from pipeline.recover.outputs import batch_in

_EXECUTION_NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
_VERSION = "?versionId="
_MAX_VERSIONS = 100
_HELP = (
    f"Name a key (it begins with {PREFIX}), a batch (orders-0123…), an execution by name or ARN, or the s3:// address "
    "of a file or of an output."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The batch that was asked for."""

    batch_id: str
    version: ObjectVersion | None = None
    """Of the key, where one was named, and so no revision."""
    execution: str = ""
    """The execution, where one was named."""


def look_up(place: Target, what: str) -> Asked:
    """The batch that `what` names; of a key that of its newest version. Raises UsageError for all else.

    That the batch exists is seen only of a key.
    """
    text = what.strip()
    if not text:
        raise UsageError("Nothing was named.", _HELP)
    if text.startswith("s3://"):
        bucket, _, key = what.lstrip().removeprefix("s3://").partition("/")
        return _by_address(place, bucket, key, text)
    if text.startswith(PREFIX):  # first, since a key may hold an ARN
        return _by_key(place, what.lstrip())
    if "arn:" in text and ":execution:" in text:  # by itself, or in the console's address
        name = _name_in(place, text[text.index("arn:") :])
        return Asked(_by_execution(place, name), execution=name)
    if batch_id := batch_in(text):
        return Asked(batch_id)
    if _EXECUTION_NAME.fullmatch(text):
        return Asked(_by_execution(place, text), execution=text)
    raise UsageError(f"{what} is neither a key nor a batch nor an execution.", _HELP)


def _name_in(place: Target, arn: str) -> str:
    """The name in an execution's ARN. Raises UsageError for that of another state machine."""
    ours = executions.execution_arn(place.outputs()["state_machine_arn"], "")
    name = _EXECUTION_NAME.match(arn.removeprefix(ours))
    if not arn.startswith(ours) or not name:
        raise UsageError(f"{arn} is no execution of this deployment.", f"Its executions begin with {ours}.")
    return name[0]


def _by_execution(place: Target, name: str) -> str:
    """The batch of an execution, by its name, or, if somebody gave it another, by its input."""
    batch_id, _ = replay_of(name)
    if is_batch_id(batch_id):
        return batch_id
    execution = executions.describe(place.step_functions(), place.outputs()["state_machine_arn"], name)
    if execution is None:
        raise UsageError(f"There is no batch and no execution {name}.", _HELP)
    try:
        return Batch.from_input(orjson.loads(execution["input"])).batch_id
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise UsageError(
            f"The execution {name} was not started by the pipeline: its input describes no batch.",
            "Look at it in the console (pipeline console).",
        ) from exc


def _by_address(place: Target, bucket: str, key: str, text: str) -> Asked:
    if bucket == place.outputs()["ingest_bucket"]:
        return _by_key(place, key)
    if bucket != place.outputs()["processed_bucket"]:
        raise UsageError(f"{text} is in no bucket of this deployment.", "Check the address, or --target.")
    if batch_id := batch_in(key):
        return Asked(batch_id)
    raise UsageError(f"{text} belongs to no batch.", "Outputs have the batch's name in their keys.")


def _by_key(place: Target, key: str) -> Asked:
    """The batch of a key's newest version, or of the one that `?versionId=` behind it names.

    A key may be called so itself, or end in a space: as it stands it counts first.
    """
    if (_VERSION in key or key != key.rstrip()) and (whole := versions_of(place, key)):
        return Asked(batch_id_of(restarts.pipeline_of(place), whole[0]), whole[0])
    key = key.rstrip()
    name, _, version_id = key.rpartition(_VERSION) if _VERSION in key else (key, "", "")
    found = [version for version in versions_of(place, name) if version_id in ("", version.version_id)]
    if not found and version_id:
        raise UsageError(f"There is no version {version_id} of {name}.", f"Name {name} alone for its newest version.")
    if not found:
        raise UsageError(
            f"There is no file {key}.",
            "Name its key in the ingest bucket, as it is, not encoded. What was erased or has expired is known by its "
            "batch alone.",
        )
    if is_folder_marker(key, found[0].size):
        raise UsageError(
            f"{key} is an empty object whose key ends in /: it marks a folder, and the pipeline ignores it.",
            "Name the key of a file.",
        )
    return Asked(batch_id_of(restarts.pipeline_of(place), found[0]), found[0])


def versions_of(place: Target, key: str) -> list[ObjectVersion]:
    """The versions of a key, newest first, at most a hundred."""
    return [ObjectVersion(key, one["VersionId"], one["Size"], one["LastModified"]) for one in _listed(place, key)]


def is_deleted(place: Target, key: str) -> bool:
    """Whether a key's latest version is a delete marker: then none of its versions is current."""
    answer = place.s3().list_object_versions(Bucket=place.outputs()["ingest_bucket"], Prefix=key, MaxKeys=1)
    return any(marker["Key"] == key and marker["IsLatest"] for marker in answer.get("DeleteMarkers", []))


def _listed(place: Target, key: str) -> Iterator[Any]:
    """S3 lists keys in order, so a key's own versions come before those of keys that begin with it."""
    bucket, number = place.outputs()["ingest_bucket"], 0
    pages = place.s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    for page in pages:
        own = [found for found in page.get("Versions", []) if found["Key"] == key]
        others = [f for f in (*page.get("Versions", []), *page.get("DeleteMarkers", [])) if f["Key"] != key]
        yield from own[: _MAX_VERSIONS - number]
        number += len(own)
        if others or number >= _MAX_VERSIONS:
            return
