"""What all stored documents have in common: how they are written and read."""

from typing import ClassVar, Self

import msgspec

from functions.common.errors import DocumentError


class StoredDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON document in the processed bucket.

    The fields are its members, in the order in which they are written. A member that earlier releases did not write has
    a default, and members that only later releases write are ignored.
    """

    kind: ClassVar[str]
    """What an error message calls it."""

    @classmethod
    def read(cls, body: bytes, key: str) -> Self:
        """The document in the object `key`. Raises DocumentError if it is no such document."""
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            why = str(exc) if isinstance(exc, msgspec.MsgspecError) else type(exc).__name__
            raise DocumentError(f"{key} can't be read as a {cls.kind}: {why}.") from exc

    def to_bytes(self) -> bytes:
        """The document as it is stored: one line, because Athena reads one JSON object per line."""
        return msgspec.json.encode(self) + b"\n"
