"""The counts of a chunk, which `validate` writes and `write` adds up."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.documents.document import StoredDocument


class VersionCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of one version of the contract are valid and rejected."""

    valid: int
    rejected: int


class DriftCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many records of one version had a field that the contract does not know; or envelopes a member."""

    contract_version: int
    field: str
    """Its JSON Pointer, with * for the index of an array; empty for fields that are counted together."""
    records: int
    dropped: bool
    """Whether the field was dropped and the record kept. Otherwise the record was rejected."""
    in_envelope: bool = False
    """Whether it is a member of envelopes next to their records, of which only the name is kept. Then `records` counts
    envelopes. Written only if true."""


class ChunkCounts(StoredDocument, frozen=True, kw_only=True):
    """How many records of one chunk are valid and rejected: received = valid + rejected."""

    kind: ClassVar[str] = "chunk's counts"

    chunk: int
    """Its number, from 0."""
    chunk_bytes: int
    """The planned size of a chunk, by which the file was cut."""
    position_kind: str
    received: int
    valid: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    records_by_version: Mapping[str, VersionCounts] = msgspec.field(default_factory=dict)
    """By number of the version; `unknown` has the records whose version is not known."""
    drift: tuple[DriftCount, ...] = ()
    control_totals: Mapping[str, str]
    """Sums over the valid records, as exact decimals."""
    received_bytes: int = 0
    """Bytes of all records, without white space around them. Earlier releases did not count them."""
    unreadable_bytes: int = 0
    """Bytes of what could not be read as records."""

    def to_bytes(self) -> bytes:
        return msgspec.json.encode(self)
