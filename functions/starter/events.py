"""Reads the object versions in an S3 event notification."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from functions.common.planning import UNVERSIONED, is_folder_marker

TEST_EVENT = "s3:TestEvent"
"""The event that S3 sends once, without records, when notifications are configured."""


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """One object version that was created."""

    bucket: str
    key: str
    version_id: str
    size: int
    etag: str
    sequencer: str
    time: datetime

    @property
    def is_folder(self) -> bool:
        """Whether the object is only a marker that consoles create for an empty folder."""
        return is_folder_marker(self.key, self.size)


def objects_created(event: Mapping[str, Any]) -> Iterator[ObjectCreated]:
    """Yield the objects that an event reports as created. S3 form-encodes their keys, which are decoded only here.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    for record in event["Records"]:
        if not record["eventName"].startswith("ObjectCreated:"):
            continue  # someone edited the notification to send more events
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
