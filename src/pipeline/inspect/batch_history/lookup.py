"""Finds the batch that a user identifies by key, batch, execution or S3 address."""

import re
from dataclasses import dataclass
from itertools import islice, takewhile

import orjson

from functions.common import executions
from functions.common.batch import Batch, is_batch_id, replay_of
from functions.common.batch_state import ObjectVersion, batch_id_of
from functions.common.planning import PREFIX, is_folder_marker
from functions.common.s3_utils import Storage
from pipeline.deploy.targets import Target
from pipeline.errors import UsageError
from pipeline.recover import restarts
from pipeline.recover.outputs import batch_in

_EXECUTION_NAME = re.compile(r"[0-9A-Za-z_-]{1,80}")
_VERSION = "?versionId="
_MAX_VERSIONS = 100
_HELP = (
    f"Give a key (it begins with {PREFIX}), a batch (orders-0123…), an execution (name or ARN), or the s3:// address "
    "of a file or of an output."
)


@dataclass(frozen=True, slots=True)
class NamedBatch:
    """A batch as the user identified it."""

    batch_id: str
    version: ObjectVersion | None = None
    """The version of the key, if the user gave a key. The revision is then unknown."""
    execution: str = ""
    """The name of the execution, if the user gave an execution."""


def look_up(place: Target, what: str) -> NamedBatch:
    """Return the batch that `what` identifies. For a key, the batch of its newest version. Raises UsageError.

    Checks only that a key exists.
    """
    text = what.strip()
    if not text:
        raise UsageError("No file or batch was given.", _HELP)
    if text.startswith("s3://"):
        return _by_address(place, what.lstrip())
    if text.startswith(PREFIX):  # checked first, since a key may contain an ARN
        return _by_key(place, what.lstrip())
    if "arn:" in text and ":execution:" in text:  # alone, or in the address of the console
        return _by_arn(place, text[text.index("arn:") :])
    if batch_id := batch_in(text):
        return NamedBatch(batch_id)
    if _EXECUTION_NAME.fullmatch(text):
        return _by_execution(place, text)
    raise UsageError(f"{what} isn't a key, a batch or an execution.", _HELP)


def _by_arn(place: Target, arn: str) -> NamedBatch:
    ours = executions.execution_arn(place.outputs()["state_machine_arn"], "")
    name = _EXECUTION_NAME.match(arn.removeprefix(ours))
    if not arn.startswith(ours) or not name:
        raise UsageError(f"{arn} isn't an execution of this deployment.", f"Its executions begin with {ours}.")
    return _by_execution(place, name[0])


def _by_execution(place: Target, name: str) -> NamedBatch:
    """Return the batch of an execution by its name or, if someone gave it another name, by its input."""
    batch_id, _ = replay_of(name)
    if is_batch_id(batch_id):
        return NamedBatch(batch_id, execution=name)
    execution = executions.describe(place.step_functions(), place.outputs()["state_machine_arn"], name)
    if execution is None:
        raise UsageError(f"There is no batch and no execution {name}.", _HELP)
    try:
        return NamedBatch(Batch.from_input(orjson.loads(execution["input"])).batch_id, execution=name)
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise UsageError(
            f"The pipeline didn't start the execution {name}: its input does not describe a batch.",
            "Check the execution in the console (pipeline console).",
        ) from exc


def _by_address(place: Target, address: str) -> NamedBatch:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if bucket == place.outputs()["ingest_bucket"]:
        return _by_key(place, key)
    if bucket != place.outputs()["processed_bucket"]:
        raise UsageError(f"{address} isn't in a bucket of this deployment.", "Check the address, or --target.")
    if batch_id := batch_in(key):
        return NamedBatch(batch_id)
    raise UsageError(f"{address} does not belong to a batch.", "The key of an output contains the name of its batch.")


def _by_key(place: Target, key: str) -> NamedBatch:
    """Return the batch of a key's newest version, or of the version in a `?versionId=` suffix.

    A key may itself end in such a suffix or in a space, so the unchanged key is tried first.
    """
    if (_VERSION in key or key != key.rstrip()) and (whole := versions_of(place, key)):
        return NamedBatch(batch_id_of(restarts.pipeline_of(place), whole[0]), whole[0])
    key = key.rstrip()
    name, _, version_id = key.rpartition(_VERSION) if _VERSION in key else (key, "", "")
    found = [version for version in versions_of(place, name) if version_id in ("", version.version_id)]
    if not found and version_id:
        raise UsageError(f"There is no version {version_id} of {name}.", f"For its newest version, give {name} alone.")
    if not found:
        raise UsageError(
            f"There is no file {key}.",
            "Give its key in the ingest bucket, without encoding. If the file was erased or has expired, give its "
            "batch.",
        )
    if is_folder_marker(key, found[0].size):
        raise UsageError(
            f"{key} is an empty object whose key ends in /. It marks a folder, and the pipeline ignores it.",
            "Give the key of a file.",
        )
    return NamedBatch(batch_id_of(restarts.pipeline_of(place), found[0]), found[0])


def versions_of(place: Target, key: str) -> list[ObjectVersion]:
    """Return up to a hundred versions of a key, newest first."""
    listed = Storage(place.s3()).list_versions(place.outputs()["ingest_bucket"], key)
    # S3 lists keys in order, so the versions of this key precede those of longer keys
    own = islice(takewhile(lambda one: one["Key"] == key, listed), _MAX_VERSIONS)
    return [ObjectVersion(key, one["VersionId"], one["Size"], one["LastModified"]) for one in own]


def is_deleted(place: Target, key: str) -> bool:
    """Return whether a key's latest version is a delete marker, so that none of its versions is current."""
    found = place.s3().list_object_versions(Bucket=place.outputs()["ingest_bucket"], Prefix=key, MaxKeys=1)
    return any(marker["Key"] == key and marker["IsLatest"] for marker in found.get("DeleteMarkers", []))
