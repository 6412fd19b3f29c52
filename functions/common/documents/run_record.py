"""The run record of an execution, which `record_run` writes: what AWS bills for it, and what that costs.

Money and quantities are exact decimals in strings, and money is in USD.
"""

import builtins
import json
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.documents.document import StoredDocument
from functions.common.pricing.s3_requests import Calls


class RunPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Which prices were used."""

    dated: str
    region: str


class RunStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one state invoked, or one function next to the state machine."""

    functions: tuple[str, ...]
    tries: int
    billed_ms: int
    measured: str
    """`history`; `span`, the time of a Map that does not show its tries; `execution`, the time of the whole execution,
    whose history could not be read; or `assumed`."""
    unfinished: int
    """Tries that were still running when the execution ended."""
    memory_mb: int
    disk_mb: int


class RunTransitions(msgspec.Struct, frozen=True, kw_only=True):
    """State transitions: states entered, and retries."""

    states: int
    retries: int


class RunBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes read, staged and published."""

    source: int
    staged: int
    published: int


class RunCost(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the cost."""

    item: str
    quantity: str
    price_of: str
    """The unit, by its name in prices.json."""
    price: str
    usd: str


class RunRecord(StoredDocument, frozen=True, kw_only=True):
    """What one execution did and what it cost."""

    kind: ClassVar[str] = "run record"

    run_version: int
    dataset: str
    batch_id: str
    execution: str
    status: str
    """SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    started_at: str
    stopped_at: str
    region: str
    architecture: str
    prices: RunPrices
    steps: Mapping[str, RunStep]
    transitions: RunTransitions
    s3_requests: Calls
    bytes: RunBytes
    cost: tuple[RunCost, ...]
    usd: str
    records: int
    usd_for_1000_records: str | None
    """None if no record was received or nothing was published."""
    usd_a_month_kept: str

    def to_bytes(self) -> builtins.bytes:
        """The record as it is stored, indented for people."""
        return json.dumps(msgspec.to_builtins(self), indent=2).encode()
