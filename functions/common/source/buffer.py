"""The bytes of a document that are held while it is read, addressed by their offsets in the document."""

from collections.abc import Iterable

_LOOKED_AT = 1 << 10
"""How many bytes are looked at together for characters to skip."""


class Buffer:
    """Bytes from `at` on are still to be read; earlier ones are dropped when more are fetched."""

    def __init__(self, blocks: Iterable[bytes], offset: int = 0) -> None:
        self._blocks = iter(blocks)
        self.data = b""
        self.base = offset
        """The offset of the first byte that is held."""
        self.at = offset
        """The offset of the first byte that was not read yet."""

    @property
    def index(self) -> int:
        """Where `at` is in `data`."""
        return self.at - self.base

    @property
    def end(self) -> int:
        """The offset after the last byte that is held."""
        return self.base + len(self.data)

    def more(self) -> bool:
        """Fetch another block. Returns False at the end of the document."""
        block = next((block for block in self._blocks if block), b"")
        if block:
            self.data = self.data[self.index :] + block
            self.base = self.at
        return bool(block)

    def skip(self, characters: bytes) -> int | None:
        """Read over any of these characters; returns the byte after them, or None at the end of the document."""
        while True:
            held = self.data[self.index : self.index + _LOOKED_AT]
            self.at += len(held) - len(left := held.lstrip(characters))
            if left:
                return left[0]
            if self.at == self.end and not self.more():
                return None

    def slice(self, start: int, end: int) -> bytes:
        """The bytes between two offsets that are held."""
        return self.data[start - self.base : end - self.base]
