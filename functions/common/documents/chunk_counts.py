"""Defines the counts of a chunk, which `validate` writes and `write` adds up."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.documents.document import StoredDocument


class VersionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The number of valid and rejected records of one contract version."""

    valid: int
    rejected: int


class DriftCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The number of records of one contract version with an unknown field, or of envelopes with a skipped member."""

    contract_version: int
    field: str
    """The field's JSON Pointer, with * for an array index. Empty for fields that are counted together."""
    records: int
    dropped: bool
    """Whether the record was valid without the field. Otherwise, the record was rejected."""
    in_envelope: bool = False
    """Whether the field is a skipped member of envelopes. If so, `records` is the number of envelopes. Written only if
    true."""
    kept: bool = False
    """Whether the field is in the column _extra instead of being lost. Written only if true."""


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
    """The control totals of the valid records, as exact decimals, by name."""
    received_bytes: int = 0
    """The size of all records in bytes, without surrounding white space. 0 in documents of earlier releases."""
    unreadable_bytes: int = 0
    """The number of bytes that could not be read as records."""
    diagnosis: str = ""
    """What the records probably are and what to do, in sentences, if most of them are rejected. Empty if unknown."""

    def to_bytes(self) -> bytes:
        return msgspec.json.encode(self)
