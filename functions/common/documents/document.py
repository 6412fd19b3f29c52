"""Defines the base type of all stored documents, which reads and writes them."""

from typing import ClassVar, Self

import msgspec

from functions.common.errors import DocumentError


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON document in the processed bucket.

    The fields are its members, in the order in which they are written. A member that earlier releases did not write has
    a default. Unknown members, which later releases may write, are ignored.
    """

    kind: ClassVar[str]
    """The name of the document type in error messages, such as `manifest`."""

    @classmethod
    def read(cls, body: bytes, key: str) -> Self:
        """Parse the content of the object `key`. Raises DocumentError if it isn't such a document."""
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            why = str(exc) if isinstance(exc, msgspec.MsgspecError) else type(exc).__name__
            raise DocumentError(f"{key} can't be read as a {cls.kind}: {why}.") from exc

    def to_bytes(self) -> bytes:
        """Return the document as one line of JSON, because Athena reads one JSON object per line."""
        return msgspec.json.encode(self) + b"\n"
