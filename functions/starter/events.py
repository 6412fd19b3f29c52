"""An S3 notification, record by record, as the pipeline reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from functions.common.planning import UNVERSIONED, is_folder_marker

TEST_EVENT = "s3:TestEvent"
"""What S3 sends once, without records, when a notification is configured."""


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """One version of one object that arrived."""

    bucket: str
    key: str
    version_id: str
    size: int
    etag: str
    sequencer: str
    time: datetime

    @property
    def is_folder(self) -> bool:
        """Whether it is only the marker that consoles make for an empty folder."""
        return is_folder_marker(self.key, self.size)


def objects_created(event: Mapping[str, Any]) -> Iterator[ObjectCreated]:
    """The created objects of an event. Keys arrive form-encoded and are decoded here, once, and nowhere else.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    for record in event["Records"]:
        if not record["eventName"].startswith("ObjectCreated:"):
            continue  # a notification that was widened by hand
        created = record["s3"]["object"]
        yield ObjectCreated(
            bucket=record["s3"]["bucket"]["name"],
            key=unquote_plus(created["key"]),
            version_id=created.get("versionId") or UNVERSIONED,
            size=created["size"],
            etag=created.get("eTag", ""),
            sequencer=created["sequencer"],
            time=datetime.fromisoformat(record["eventTime"]),
        )
