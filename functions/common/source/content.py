"""What the first bytes of a file say of it: its compression, and the layout of its values."""

from dataclasses import dataclass

LINES = "lines"
"""A line break always ends a value. Such a file can be split into chunks."""

SEQUENCE = "sequence"
"""Values follow each other with any separator or none, and may contain line breaks."""


@dataclass(frozen=True, slots=True)
class Content:
    """The compression and layout of a file."""

    compression: str
    """A compression that the pipeline reads; empty if the file has none of them."""
    layout: str
    """LINES or SEQUENCE; empty if it is not known yet, because the content is compressed or was not read."""


UNKNOWN = Content("", "")
"""The content of a file that was not read."""
