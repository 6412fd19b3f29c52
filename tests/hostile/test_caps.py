"""Every cap is a setting: a file at the cap passes, a file above it gets an error that names the cap."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from functions.common.config import Settings
from functions.common.errors import (
    InflatedTooLargeError,
    NoValidRecordsError,
    ObjectTooLargeError,
    PipelineError,
    RecordTooLargeError,
    RejectVolumeError,
    TooManyRejectsError,
)
from tests import harness
from tests.hostile.outcome_check import check_failed, check_published, execute
from tests.unit.orders import Order, lines, order

pytestmark = pytest.mark.slow

GOOD = [order(order_id=str(number)) for number in range(10)]
LINES = lines(GOOD)
ARRAY = b"[" + LINES.strip().replace(b"\n", b",") + b"]"
ZIPPED = gzip.compress(LINES, mtime=0)
LONGEST = len(LINES) // len(GOOD) - 1
assert all(len(line) == LONGEST for line in LINES.splitlines())


@dataclass(frozen=True)
class Cap:
    """A file that passes at the value of a setting, and fails or is rejected at a lower value."""

    setting: str
    enough: float
    too_little: float
    error: type[PipelineError]
    says: str
    name: str = "x.jsonl"
    data: bytes = LINES
    rejects: int = 0
    good: Sequence[Order] = tuple(GOOD)
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Of the file that passes: what is published and why the rest is not."""


VOLUME = "the limit max_reject_bytes"
CAPS = [
    Cap("max_object_bytes", len(LINES), len(LINES) - 1, ObjectTooLargeError, "max_object_bytes allows"),
    Cap("max_inflated_bytes", len(LINES), len(LINES) - 1, InflatedTooLargeError, "more than", "x.jsonl.gz", ZIPPED),
    Cap("max_inflated_bytes", len(ARRAY), len(ARRAY) - 1, ObjectTooLargeError, "can't be split", "x.json", ARRAY),
    Cap("max_inflation_ratio", 200, 2, InflatedTooLargeError, "the limit for its size", "x.jsonl.gz", ZIPPED),
    Cap("max_record_bytes", LONGEST, LONGEST - 1, NoValidRecordsError, "record_too_large 10", rejects=10),
    Cap(
        *("max_record_bytes", LONGEST, LONGEST - 1, RecordTooLargeError, "one object of more", "x.json"),
        data=LINES[:LONGEST],
        good=GOOD[:1],
    ),
    Cap("max_nesting", 3, 2, NoValidRecordsError, "nested_too_deeply 10", rejects=10),
    Cap("max_nesting", 3, 2, NoValidRecordsError, "nested_too_deeply 10", "x.json", ARRAY, rejects=10),
    Cap(
        *("max_reject_ratio", 0.1, 0.09, TooManyRejectsError, "1 of 10 records"),
        data=LINES[LONGEST + 1 :] + b"{}",
        rejects=1,
        good=GOOD[1:],
        reasons={"missing_field": 1},
    ),
    Cap(
        *("max_reject_bytes", 2_000, 500, RejectVolumeError, VOLUME),
        data=LINES + b"{}",
        reasons={"missing_field": 1},
    ),
    Cap(
        *("max_reject_bytes", 2_000, 500, RejectVolumeError, VOLUME),
        data=LINES + lines([order(total_amount=0)]),
        reasons={"total_mismatch": 1},
    ),
]


def test_every_cap_has_a_test() -> None:
    settings = {setting.name for setting in fields(Settings)}
    assert {cap.setting for cap in CAPS} == {name for name in settings if name.startswith("max_")}


@pytest.mark.parametrize("cap", [pytest.param(cap, id=f"{cap.setting}-{cap.error.__name__}") for cap in CAPS])
def test_a_file_at_the_cap_passes_and_above_it_fails(cap: Cap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variable = cap.setting.upper()
    with harness.buckets(monkeypatch, **{variable: str(cap.enough)}):
        outcome = execute(harness.plan(harness.upload(cap.data, cap.name)))
        check_published(outcome, cap.good, cap.reasons, tmp_path)
    with harness.buckets(monkeypatch, **{variable: str(cap.too_little)}):
        outcome = execute(harness.plan(harness.upload(cap.data, cap.name)))
        assert cap.says in check_failed(outcome, cap.error, cap.rejects)


# --- the volume of rejects --------------------------------------------------------------------------------------------

WRONG_TOTAL = order(total_amount=0)
VOLUMES: dict[str, tuple[bytes, Callable[[dict[str, int]], bool]]] = {
    "by schema": (LINES + b"{}\n" * 100, lambda reasons: set(reasons) == {"missing_field"}),
    "by rule": (LINES + lines([WRONG_TOTAL] * 100), lambda reasons: set(reasons) == {"total_mismatch"}),
    "by parser": (LINES + b"[\n" * 1_000, lambda reasons: set(reasons) == {"not_json"}),
    "by both": (LINES + (b"{}\n" + lines([WRONG_TOTAL])) * 9, lambda reasons: len(reasons) == 2),
}


@pytest.mark.parametrize("how", VOLUMES)
def test_a_file_with_too_many_bytes_of_rejects_fails_and_keeps_a_sample(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the cap, the number of rejects so far, their reasons, and the key of a complete sample."""
    data, by_these = VOLUMES[how]
    cap = 15_000
    with harness.buckets(monkeypatch, MAX_REJECT_BYTES=str(cap)):
        batch = harness.plan(harness.upload(data))
        cause = check_failed(execute(batch), RejectVolumeError)
        sample_key = batch.staging_key(0, "rejected.jsonl")
        assert cause.endswith(f"A sample is at s3://{harness.PROCESSED}/{sample_key}.")
        assert f"more than {cap} bytes, the limit max_reject_bytes" in cause
        sample = harness.get(sample_key)
        rejects = [json.loads(line) for line in sample.splitlines()]
        assert cap * 0.7 < len(sample) <= cap, "the sample must fill the cap"
        positions = [reject["position"] for reject in rejects]
        assert positions == sorted(positions), "rejects must be in the order of the file"
        assert f"Rejected so far: {len(rejects) + 1} (" in cause, "the reject above the cap is counted, too"
        reasons = reasons_in(cause)
        assert by_these(reasons)
        assert sum(reasons.values()) == len(rejects) + 1
        assert harness.keys("staging/") == [sample_key], "an incomplete chunk must have no counts"


def reasons_in(cause: str) -> dict[str, int]:
    listed = cause.partition("Rejected so far: ")[2].partition("(")[2].partition(")")[0].split(", ")
    return {reason: int(number) for reason, number in (entry.split() for entry in listed)}


def test_the_rejects_of_a_chunk_do_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rejects of a chunk of two-byte records would have five hundred times its size."""
    written: list[Any] = []
    real = harness.s3_utils.Storage.upload

    def upload(storage: Any, path: Any, *place: Any) -> None:
        written.append(path.stat().st_size)
        real(storage, path, *place)

    monkeypatch.setattr(harness.s3_utils.Storage, "upload", upload)
    with harness.buckets(monkeypatch, MAX_REJECT_BYTES="1000000"):
        outcome = execute(harness.plan(harness.upload(b"{}\n" * 300_000)))
        check_failed(outcome, RejectVolumeError)
    assert sum(written) <= 1_000_000
