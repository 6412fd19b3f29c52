"""A batch's file of rejects: where it is, and what is in it, read line by line."""

from collections.abc import Sequence
from contextlib import closing

from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.inspect.batch_history.model import Rejects
from pipeline.inspect.batch_history.rejects import missing, read_rejects


def rejects_key(manifest: Manifest | None, failures: Sequence[FailureRecord]) -> str | None:
    """Where the rejects of a batch are in the processed bucket, or None where it has none."""
    if manifest:
        return manifest.rejects_key
    return next((failure.rejects_key for failure in reversed(failures) if failure.rejects_key), None)


def rejects_in(
    place: Target, key: str, samples: int, *, show_values: bool = False, max_bytes: int | None = None
) -> Rejects:
    """The rejects in a file of the processed bucket, read line by line. Raises CliError where it is something else."""
    try:
        body = place.s3().get_object(Bucket=place.outputs()["processed_bucket"], Key=key)["Body"]
    except place.s3().exceptions.NoSuchKey:
        return missing(key)
    with closing(body):
        try:
            lines = body.iter_lines(chunk_size=1 << 16)
            return read_rejects(key, lines, samples, show_values=show_values, max_bytes=max_bytes)
        except (KeyError, TypeError, ValueError) as exc:
            raise CliError(
                f"s3://{place.outputs()['processed_bucket']}/{key} is no file of rejects ({type(exc).__name__}).",
                "Somebody changed it: bring back the version that the pipeline wrote.",
            ) from exc
