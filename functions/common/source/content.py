"""Describes the content of a file: its compression, and the layout of its values."""

from dataclasses import dataclass

LINES = "lines"
"""A line break always ends a value. Such a file can be split into chunks."""

SEQUENCE = "sequence"
"""Values follow each other with any separator or none, and may contain line breaks."""


@dataclass(frozen=True, slots=True)
class Content:
    """The compression and layout of a file."""

    compression: str
    """The file's compression, or an empty string if it has none that the pipeline supports."""
    layout: str
    """LINES or SEQUENCE, or an empty string if the content is compressed or was not read."""


UNKNOWN = Content("", "")
"""The content of a file that was not read."""
