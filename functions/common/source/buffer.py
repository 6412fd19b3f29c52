"""Buffers part of a document while it is read. Bytes are addressed by their offsets in the document."""

from collections.abc import Iterable

_LOOKED_AT = 1 << 10
"""The number of bytes that `skip` examines at a time."""


class Buffer:
    """A window on a document. Bytes before `at` were read, and are dropped when `more` fetches a block."""

    def __init__(self, blocks: Iterable[bytes], offset: int = 0) -> None:
        self._blocks = iter(blocks)
        self.data = b""
        self.base = offset
        """The offset of the first byte in the buffer."""
        self.at = offset
        """The offset of the first unread byte."""

    @property
    def index(self) -> int:
        """The index of `at` in `data`."""
        return self.at - self.base

    @property
    def end(self) -> int:
        """The offset after the last byte in the buffer."""
        return self.base + len(self.data)

    def more(self) -> bool:
        """Fetch another block and return True, or return False at the end of the document."""
        block = next((block for block in self._blocks if block), b"")
        if block:
            self.data = self.data[self.index :] + block
            self.base = self.at
        return bool(block)

    def skip(self, characters: bytes) -> int | None:
        """Skip any of these characters, and return the byte after them, or None at the end of the document."""
        while True:
            held = self.data[self.index : self.index + _LOOKED_AT]
            self.at += len(held) - len(left := held.lstrip(characters))
            if left:
                return left[0]
            if self.at == self.end and not self.more():
                return None

    def slice(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets, which must be in the buffer."""
        return self.data[start - self.base : end - self.base]
