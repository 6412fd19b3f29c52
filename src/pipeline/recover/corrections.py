"""Sends corrected rejects as a new upload that names the corrected batch."""

import hashlib
from collections.abc import Iterable

import orjson
from botocore.exceptions import ClientError

from functions.common.batch import batch_id_for
from functions.common.planning import CORRECTS, PREFIX, version_id_of
from functions.common.reject_codes import SUPERSEDED
from pipeline.deploy.targets import Target
from pipeline.errors import CliError, UsageError
from pipeline.recover.restarts import any_record, dataset_of_batch


def corrected(lines: Iterable[bytes]) -> tuple[str, bytes]:
    """Return the batch of the given reject lines, and the corrected records as JSON Lines. Raises UsageError.

    Superseded records are left out, since they need no correction.
    """
    records, batches = [], set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            reject = orjson.loads(line)
            batches.add(str(reject["batch_id"]))
            if reject["reason"] == SUPERSEDED:
                continue
            records.append(orjson.dumps(reject["record"]))
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise UsageError(
                f"Line {number} isn't a reject with a corrected record ({type(exc).__name__}).",
                "Each line must be a reject of the batch, with the corrected record as JSON in `record` "
                "(even if the reject has the original in `raw`).",
            ) from exc
    if len(batches) != 1:
        raise UsageError(
            f"The file contains rejects of {len(batches)} batches.", "Send the rejects of each batch separately."
        )
    if not records:
        raise UsageError("The file contains no record to send.", "Superseded records need no correction.")
    return batches.pop(), b"\n".join(records) + b"\n"


def correction_key(batch_id: str, data: bytes) -> str:
    """Return the key of a correction. The same content has the same key, so it is sent only once."""
    digest = hashlib.sha256(data).hexdigest()[:12]
    return f"{PREFIX}{dataset_of_batch(batch_id)}/corrections/{batch_id}-{digest}.jsonl"


def send_correction(place: Target, batch_id: str, data: bytes) -> tuple[str, str | None]:
    """Upload corrected rejects as a new file that names the corrected batch. Return the new key and batch.

    The returned batch is None if the same records were sent before.
    """
    bucket, key = place.outputs()["ingest_bucket"], correction_key(batch_id, data)
    try:
        put = place.s3().put_object(Bucket=bucket, Key=key, Body=data, Metadata={CORRECTS: batch_id}, IfNoneMatch="*")
    except ClientError as exc:
        if exc.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return key, None
    return key, batch_id_for(dataset_of_batch(batch_id), bucket, key, version_id_of(put))


def check_known(place: Target, batch_id: str) -> None:
    """Raise CliError if a batch has neither a manifest nor a failure record in this deployment."""
    if any_record(place, dataset_of_batch(batch_id), batch_id) is None:
        raise CliError(f"This deployment has no batch {batch_id}.", "Check that the file comes from this deployment.")
