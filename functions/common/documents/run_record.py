"""Defines the run record of an execution, which `record_run` writes: the usage that AWS bills, and its cost.

Amounts and quantities are exact decimals in strings. Amounts are in USD.
"""

import builtins
import json
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from functions.common.documents.document import StoredDocument
from functions.common.pricing.s3_requests import Calls


class RunPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The price list from which the costs were calculated."""

    dated: str
    region: str


class RunStep(msgspec.Struct, frozen=True, kw_only=True):
    """The invocations by one state, or the invocations of one function outside the state machine."""

    functions: tuple[str, ...]
    tries: int
    billed_ms: int
    measured: str
    """How `billed_ms` was measured: `history`; `span`, the duration of a Map whose attempts are not in the history;
    `execution`, the duration of an execution whose history could not be read; or `assumed`."""
    unfinished: int
    """The number of attempts that were still running when the execution ended."""
    memory_mb: int
    disk_mb: int


class RunTransitions(msgspec.Struct, frozen=True, kw_only=True):
    """The number of state transitions: entered states, and retries."""

    states: int
    retries: int


class RunBytes(msgspec.Struct, frozen=True, kw_only=True):
    """The number of bytes that were read, staged and published."""

    source: int
    staged: int
    published: int


class RunCost(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the cost breakdown."""

    item: str
    quantity: str
    price_of: str
    """The unit's name in prices.json."""
    price: str
    usd: str


class RunRecord(StoredDocument, frozen=True, kw_only=True):
    """Describes what one execution did and what it cost."""

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
    """None if no records were received or nothing was published."""
    usd_a_month_kept: str

    def to_bytes(self) -> builtins.bytes:
        """Return the record as JSON, indented for readability."""
        return json.dumps(msgspec.to_builtins(self), indent=2).encode()
