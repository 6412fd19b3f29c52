"""The counts of a chunk, which `validate` writes and `write` adds up."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.documents.document import StoredDocument


class VersionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of valid and rejected records of one contract version."""

    valid: int
    rejected: int


class DriftCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The number of records of one contract version that had an unknown field, or of envelopes with another member."""

    contract_version: int
    field: str
    """The field's JSON Pointer, with * for an array index; empty for fields that are counted together."""
    records: int
    dropped: bool
    """Whether the field was dropped and the record kept. Otherwise the record was rejected."""
    in_envelope: bool = False
    """Whether it is a member of envelopes next to their records, of which only the name is kept. Then `records` counts
    envelopes. Written only if true."""


class ChunkCounts(StoredDocument, frozen=True, kw_only=True):
    """The number of valid and rejected records of one chunk: received = valid + rejected."""

    kind: ClassVar[str] = "chunk's counts"

    chunk: int
    """The chunk's number, from 0."""
    chunk_bytes: int
    """The planned chunk size in bytes."""
    position_kind: str
    received: int
    valid: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, VersionCounts] = msgspec.field(default_factory=dict)
    """The counts by version number, as a string. `unknown` counts the records whose version is not known."""
    drift: tuple[DriftCount, ...] = ()
    control_totals: Mapping[str, str]
    """Sums over the valid records, as exact decimals."""
    received_bytes: int = 0
    """Bytes of all records, without surrounding white space. 0 in documents of earlier releases."""
    unreadable_bytes: int = 0
    """Bytes that could not be read as records."""

    def to_bytes(self) -> bytes:
        return msgspec.json.encode(self)
