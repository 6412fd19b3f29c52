"""What common producers write comes in as it is, or fails with a message that names the cause.

The files in tests/data/cases reproduce public reports with invented data.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from backports import zstd

from functions.common.config import CONTRACTS
from functions.common.errors import (
    ContractError,
    MalformedDocumentError,
    NoValidRecordsError,
    PipelineError,
    TooManyRejectsError,
    UnsupportedFormatError,
    WrongEnvelopeError,
)
from functions.common.source.content import LINES, SEQUENCE
from pipeline import ROOT
from tests import harness
from tests.unit.orders import order

CASES = ROOT / "tests" / "data" / "cases"
NO_SUFFIX = "orders-stream-1-2026-01-05-10-02-33-6f1d3c1e"


@pytest.fixture(autouse=True)
def _buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with harness.buckets(monkeypatch):
        yield


def read(name: str) -> bytes:
    return (CASES / name).read_bytes()


def published(data: bytes, name: str, **options: Any) -> tuple[int, int, int]:
    """How many records of a file are received, published, and rejected."""
    counts = harness.manifest(harness.run(data, name, **options))["counts"]
    return counts["received"], counts["published"], counts["rejected"]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("stream.json", SEQUENCE),
        ("stream.jsonl", LINES),
        ("stream.json.gz", ""),
        ("batched.jsonl", LINES),
        ("one_line_with_two.jsonl", LINES),
        ("comma_lines.jsonl", LINES),
        ("array_in.jsonl", SEQUENCE),
        ("oneline_array.jsonl", SEQUENCE),
        ("gzipped_named.json", ""),
        ("gzipped_named.jsonl", ""),
        ("plain_named.jsonl.gz", LINES),
        ("part-00000-6f-c000.json.bz2", ""),
        ("paged_orders.json", SEQUENCE),
        ("meta_first.json", SEQUENCE),
        ("float_version_only.jsonl", LINES),
        ("ctrl_z.jsonl", LINES),
    ],
)
def test_it_is_published_whole(name: str, layout: str) -> None:
    batch = harness.run(read(name), name)
    counts = harness.manifest(batch)["counts"]
    assert (counts["received"], counts["published"], counts["rejected"]) == (12, 12, 0)
    assert batch.layout == layout


def test_a_zstd_file_of_spark_is_published_whole() -> None:
    assert published(zstd.compress(read("batched.jsonl")), "part-00000-6f-c000.json.zst") == (12, 12, 0)


@pytest.mark.parametrize("name", ["batched.jsonl", "one_line_with_two.jsonl", "comma_lines.jsonl", "ctrl_z.jsonl"])
def test_lines_give_the_same_records_however_they_are_cut(name: str, tmp_path: Path) -> None:
    whole, in_chunks = (harness.run(read(name), name, chunk_bytes=size) for size in (1_000_000, 700))
    assert in_chunks.chunk_count > 5
    rows = [harness.csv_rows(batch, "orders") for batch in (whole, in_chunks)]
    assert [row["order_id"] for row in rows[0]] == [row["order_id"] for row in rows[1]]


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("array_trailing_comma.json", MalformedDocumentError, "a comma without a record, at record 12"),
        ("twice.json.gz", UnsupportedFormatError, "compressed twice"),
        ("twice.jsonl.gz", UnsupportedFormatError, "compressed twice"),
        ("part-00000-6f-c000.json.deflate", UnsupportedFormatError, r"zlib \(deflate\).*gzip, bzip2 or zstd"),
        ("zlib.jsonl.gz", UnsupportedFormatError, r"zlib \(deflate\).*gzip, bzip2 or zstd"),
        (NO_SUFFIX, UnsupportedFormatError, "Set input.format in its contract.json"),
        ("stripe_list.json", WrongEnvelopeError, "members are: object, data, has_more, url.*set input.records to"),
        ("magento.json", WrongEnvelopeError, "members are: items,.*input.records can't be /items"),
        ("cr_only.jsonl", MalformedDocumentError, "carriage returns"),
        ("shopify_orders.json", NoValidRecordsError, "missing_field 12"),
    ],
)
def test_it_fails_and_says_why(name: str, error: type[PipelineError], says: str) -> None:
    with pytest.raises(error, match=says):
        harness.run(read(name), name)


@pytest.mark.parametrize("content", [b"\xff\x06\0\0sNaPpY\x01\x0b", b"\0\0\x17\x1c\0\0\x01\x8d\x9c\x2e"])
def test_snappy_is_named_with_what_is_read(content: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"Snappy.*gzip, bzip2 or zstd"):
        harness.run(content, "part-00000-6f-c000.json.snappy")


@pytest.mark.parametrize("name", ["first_line_broken.json", "first_line_broken.jsonl"])
def test_json_lines_lose_only_a_broken_line_under_each_name(name: str) -> None:
    batch = harness.run(read("first_line_broken.json"), name)
    counts = harness.manifest(batch)["counts"]
    assert (counts["received"], counts["published"], counts["rejected"]) == (13, 12, 1)
    assert [reject["position"] for reject in harness.rejects(batch)] == [0]


@pytest.mark.parametrize("copies", [4_000, 20_000])
def test_a_line_of_broken_records_counts_by_its_bytes(copies: int) -> None:
    good = [orjson.dumps(order(order_id=str(number))) for number in range(12)]
    broken = good[0].replace(b'"order_id"', b'"order_id', 1)
    data = b"\n".join([*good, broken * copies])
    with pytest.raises(TooManyRejectsError) as raised:
        harness.run(data, chunk_bytes=10**9)
    assert f"{len(broken) * copies} of {len(data) - 12} bytes" in str(raised.value)


def test_an_inner_byte_order_mark_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.set_environment(monkeypatch, MAX_REJECT_RATIO="1")
    batch = harness.run(read("bom_each.jsonl"), "bom_each.jsonl")
    assert {reject["errors"][0]["message"] for reject in harness.rejects(batch)} == {
        "the record begins with a byte order mark; remove it"
    }


@pytest.mark.parametrize(
    ("name", "rejected"), [("epoch.jsonl", {"wrong_type"}), ("beyond15.jsonl", {"not_an_exact_decimal"})]
)
def test_what_a_column_cannot_hold_exactly_is_rejected(
    name: str, rejected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.set_environment(monkeypatch, MAX_REJECT_RATIO="1")
    batch = harness.run(read(name), name)
    assert {reject["reason"] for reject in harness.rejects(batch)} == rejected
    assert b"900000000000.0000," not in harness.get(batch.csv_key("orders"))


def test_a_number_instead_of_a_time_is_rejected_with_the_format_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.set_environment(monkeypatch, MAX_REJECT_RATIO="1")
    for reject in harness.rejects(harness.run(read("epoch.jsonl"), "epoch.jsonl")):
        (error,) = reject["errors"]
        assert error["pointer"] == "/order_date"
        assert "as an integer with the format epoch-millis or epoch-seconds" in error["message"]


def test_a_value_that_breaks_two_keywords_has_its_description_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A date without a zone breaks the format and the pattern of order_date."""
    harness.set_environment(monkeypatch, MAX_REJECT_RATIO="0.6")
    data = orjson.dumps(order(order_date="1996-07-04T09:30:00")) + b"\n" + orjson.dumps(order(order_id="2"))
    (reject,) = harness.rejects(harness.run(data))
    assert [error["code"] for error in reject["errors"]] == ["bad_format"]


def test_noise_below_the_scale_is_read_as_it_is_documented() -> None:
    assert published(read("float_noise.jsonl"), "float_noise.jsonl") == (12, 12, 0)


def test_a_number_that_is_not_finite_costs_one_record() -> None:
    for name, reason in (("nan_field.json", "non_finite_number"), ("nan_as_null.json", "wrong_type")):
        batch = harness.run(read(name), name)
        assert harness.manifest(batch)["rejected_by_reason"] == {reason: 1}


def test_a_wrapper_around_each_record_is_named() -> None:
    with pytest.raises(NoValidRecordsError) as raised:
        harness.run(read("airbyte.jsonl"), "airbyte.jsonl")
    found = re.search(rf"s3://{harness.PROCESSED}/(\S+\.jsonl)", str(raised.value))
    assert found
    for line in harness.get(found[1]).splitlines():
        [error] = json.loads(line)["errors"]
        assert (error["code"], error["pointer"]) == ("missing_field", "/_airbyte_data")
        assert "send the object under /_airbyte_data as the record" in error["message"]


@pytest.mark.parametrize("document", [b'"x"', b"1", b"null", b"true"])
def test_json_that_is_no_record_is_not_called_anything_else(document: bytes) -> None:
    with pytest.raises(PipelineError) as raised:
        harness.run(document, "x.json")
    assert "not JSON" not in str(raised.value)


# --- what a contract's `input` changes --------------------------------------------------------------------------------


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change the `input` of the contract of a dataset, for everything that reads it."""

    def change(dataset: str, source: Path, **settings: Any) -> None:
        folder = Path(shutil.copytree(source, tmp_path / dataset))
        contract = json.loads((folder / "contract.json").read_text())
        if "records" in settings:
            contract.pop("envelope")
        (folder / "contract.json").write_text(json.dumps({**contract, "input": settings}))
        harness.set_environment(monkeypatch, CONTRACTS=str(tmp_path))

    return change


def test_a_name_without_a_suffix_is_read_in_the_contracts_format(contracts: Callable[..., None]) -> None:
    contracts("orders", CONTRACTS / "orders", format="jsonl")
    assert published(read(NO_SUFFIX), NO_SUFFIX) == (12, 12, 0)


def test_the_members_of_an_envelope_and_dropped_fields_are_in_the_drift(contracts: Callable[..., None]) -> None:
    contracts("charges", CASES / "contracts" / "charges", unknown_fields="drop")
    batch = harness.run(read("charges_stripe.json"), "charges_stripe.json", folder="incoming/charges/")
    manifest = harness.manifest(batch)
    assert (manifest["counts"]["received"], manifest["counts"]["published"]) == (6, 6)
    assert manifest["drift"] == [
        {"contract_version": 1, "field": "/has_more", "records": 1, "dropped": True, "in_envelope": True},
        {"contract_version": 1, "field": "/object", "records": 6, "dropped": True},
        {"contract_version": 1, "field": "/object", "records": 1, "dropped": True, "in_envelope": True},
    ]


def test_another_envelope_is_read_where_the_contract_says(contracts: Callable[..., None]) -> None:
    contracts("orders", CONTRACTS / "orders", records="/data")
    assert published(read("stripe_list.json"), "stripe_list.json") == (12, 12, 0)


def test_an_envelope_member_that_records_have_too_is_refused(contracts: Callable[..., None]) -> None:
    """An order has items, so a document of one order would be read as an envelope."""
    contracts("orders", CONTRACTS / "orders", records="/items")
    with pytest.raises(ContractError, match="/items leads to the records of an envelope, but a record has a property"):
        harness.run(read("magento.json"), "magento.json")


def test_the_array_of_records_may_be_nested(contracts: Callable[..., None]) -> None:
    contracts("orders", CONTRACTS / "orders", records="/data/page/orders")
    page = {"n": 1, "orders": [order(order_id=str(number)) for number in range(3)], "next": None}
    document = orjson.dumps({"data": {"total": 3, "page": page}, "meta": {}})
    batch = harness.run(document, "x.json")
    manifest = harness.manifest(batch)
    assert manifest["counts"]["published"] == 3
    assert [one["field"] for one in manifest["drift"]] == ["/data/page/n", "/data/page/next", "/data/total", "/meta"]


def test_a_contract_has_its_own_reject_limit(contracts: Callable[..., None]) -> None:
    contracts("orders", CONTRACTS / "orders", max_reject_ratio=0.05)
    with pytest.raises(TooManyRejectsError, match=r"max_reject_ratio allows a share of 0\.05"):
        harness.run(read("first_line_broken.json"), "x.jsonl")
