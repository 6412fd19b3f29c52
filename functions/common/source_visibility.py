"""Distinguishes deleted objects from new objects that S3 does not return yet."""

from datetime import UTC, datetime, timedelta

from functions.common.errors import PipelineError, SourceMissingError, SourceNotVisibleError

PROPAGATION = timedelta(minutes=15)
"""The time in which S3 may return 404 for an existing object, after versioning is first enabled on its bucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
"""


def may_become_visible(written: datetime | str) -> bool:
    """Return whether an object that S3 does not return may still become visible.

    `written` is the time of the object's event or its LastModified, as a datetime or in ISO 8601 with a time zone.
    """
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    return datetime.now(UTC) - written < PROPAGATION


def missing_source(uri: str, written: datetime | str) -> PipelineError:
    """Return the error for a source version that S3 does not return: SourceNotVisibleError or SourceMissingError."""
    if may_become_visible(written):
        return SourceNotVisibleError(
            f"S3 does not return {uri}. The version was deleted, or is not visible yet. After versioning is first "
            "enabled on a bucket, new objects may become visible only after 15 minutes."
        )
    return SourceMissingError(f"{uri} does not exist: the version was deleted before it was published.")
