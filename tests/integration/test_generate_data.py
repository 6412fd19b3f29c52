"""The data generator: reproducible bytes, orders that satisfy the contract, and defects that violate it."""

import gzip
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

import generate_data
from functions.common.record_types import is_decimal
from generate_data import DEFECTS, generate, main, orders, write

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "src" / "generate_data.py"
SCHEMAS = {
    version: json.loads((ROOT / "contracts" / "orders" / f"v{version}.schema.json").read_text("utf-8"))
    for version in (1, 2)
}
SCHEMA = SCHEMAS[1]
EVERY_DEFECT = 0.1
"""A ratio at which 1,000 orders show every defect."""

REFERENCE_SHA256 = "c7e8e6dabb1ba7a178b92ce82f17578e2e7c84f83fbefe8bd45168c6aaeb80be"
"""Of 1,000 orders of seed 0 with a tenth invalid."""

MIXED_SHA256 = "a9070c9d090175be6f3c1d426c40f9145d585bc4af46b9070d04d0618753e2ba"
"""The same of versions 1 and 2."""

VERSIONS = [(1,), (2,), (1, 2)]


class DecimalKeyword:
    def __init__(self, parent: Any, value: list[int], path: Any) -> None:
        self.precision, self.scale = value

    def validate(self, instance: Any) -> None:
        if isinstance(instance, int | float) and not is_decimal(instance, self.precision, self.scale):
            raise ValueError(f"is not a DECIMAL({self.precision}, {self.scale})")


VALIDATORS = {
    version: jsonschema_rs.Draft202012Validator(schema, validate_formats=True, keywords={"decimal": DecimalKeyword})
    for version, schema in SCHEMAS.items()
}


def exact(number: float) -> Decimal:
    return Decimal(repr(number))


def exact_total(order: dict[str, Any]) -> Decimal:
    """The `total_amount` that the contract's rule requires."""
    lines = (exact(i["quantity"]) * exact(i["unit_price"]) * (1 - exact(i["discount"])) for i in order["items"])
    added = exact(order["shipping_cost"]) + exact(order.get("tax_amount", 0)) - exact(order.get("discount_amount", 0))
    return sum((line.quantize(Decimal("0.01"), ROUND_HALF_UP) for line in lines), added)


def faults(text: bytes) -> list[str]:
    """The reasons why the contract rejects a record, from the first of parser, schema and rules that fails."""
    try:
        order = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ["parse"]
    version = order.get("schema_version", 1)
    if version not in VALIDATORS or not VALIDATORS[version].is_valid(order):
        return ["schema"]
    numbers = [item["line_number"] for item in order["items"]]
    rules = {
        "total_mismatch": exact_total(order) == exact(order["total_amount"]),
        "duplicate_line_number": len(set(numbers)) == len(numbers),
    }
    return [code for code, kept in rules.items() if not kept]


def written(path: Path, **arguments: Any) -> bytes:
    write(path, **{"count": 1_000, **arguments})
    return path.read_bytes()


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_reference_output_is_unchanged(tmp_path: Path) -> None:
    found = hashlib.sha256(written(tmp_path / "orders.jsonl", invalid_ratio=EVERY_DEFECT)).hexdigest()
    assert found == REFERENCE_SHA256, (
        "The generator's output changed. If that is intended, pin the new hash, and repeat all measurements on "
        "generated files. If only the version of Python or orjson differs, the generator is not reproducible."
    )


def test_reference_output_of_both_versions_is_unchanged(tmp_path: Path) -> None:
    data = written(tmp_path / "orders.jsonl", invalid_ratio=EVERY_DEFECT, versions=(1, 2))
    assert hashlib.sha256(data).hexdigest() == MIXED_SHA256, "The generator writes other bytes than it did: see above."


@pytest.mark.parametrize("versions", [(1,), (1, 2)])
@pytest.mark.parametrize("fmt", ["json", "jsonl"])
@pytest.mark.parametrize("compress", [False, True])
def test_same_arguments_give_the_same_bytes_under_any_name(
    tmp_path: Path, fmt: str, compress: bool, versions: tuple[int, ...]
) -> None:
    arguments = {"count": 300, "seed": 4, "invalid_ratio": 0.2, "fmt": fmt, "compress": compress, "versions": versions}
    first = written(tmp_path / "one", **arguments)
    generate_data._customer.cache_clear()
    assert written(tmp_path / "two", **arguments) == first


def test_gzip_header_has_no_time_and_no_name(tmp_path: Path) -> None:
    header = written(tmp_path / "orders.jsonl.gz", compress=True)[:10]
    assert header == b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"


def test_hash_seed_locale_and_time_zone_do_not_matter() -> None:
    command = [sys.executable, str(SCRIPT), "--orders", "50", "--out", "-"]
    environments = ({"PYTHONHASHSEED": "1", "TZ": "UTC"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"})
    outputs = {subprocess.run(command, env=env, capture_output=True, check=True).stdout for env in environments}
    assert outputs == {b"".join(text + b"\n" for text, _ in generate(50))}


def test_another_seed_gives_other_orders_with_other_ids() -> None:
    first, second = list(orders(200, seed=1)), list(orders(200, seed=2))
    assert [order["items"] for order in first] != [order["items"] for order in second]
    assert not {order["order_id"] for order in first} & {order["order_id"] for order in second}


@pytest.mark.parametrize("versions", VERSIONS)
def test_longer_run_starts_with_the_orders_of_a_shorter_one(versions: tuple[int, ...]) -> None:
    assert list(islice(orders(5_000, 0, versions), 100)) == list(orders(100, 0, versions))


def test_all_formats_hold_the_same_orders(tmp_path: Path) -> None:
    expected = [orjson.loads(text) for text, _ in generate(1_500, 3)]
    arguments = {"count": 1_500, "seed": 3}
    lines = written(tmp_path / "lines", **arguments)
    array = written(tmp_path / "array", fmt="json", **arguments)
    assert [orjson.loads(line) for line in lines.splitlines()] == expected
    assert orjson.loads(array) == expected
    assert gzip.decompress(written(tmp_path / "lines.gz", compress=True, **arguments)) == lines
    assert gzip.decompress(written(tmp_path / "array.gz", compress=True, fmt="json", **arguments)) == array


def test_zero_orders_make_an_empty_file(tmp_path: Path) -> None:
    assert written(tmp_path / "lines", count=0, invalid_ratio=1.0) == b""
    assert orjson.loads(written(tmp_path / "array", count=0, fmt="json")) == []


# --- valid orders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", VERSIONS)
@pytest.mark.parametrize("seed", [0, 1, generate_data.MAX_SEED])
def test_valid_orders_satisfy_the_contract(seed: int, versions: tuple[int, ...]) -> None:
    broken = {text: faults(text) for text, _ in generate(3_000, seed, versions=versions) if faults(text)}
    assert not broken, next(iter(broken.items()))


def test_another_version_has_the_same_orders_except_for_its_new_fields() -> None:
    for version_1, version_2, mixed in zip(*(orders(2_000, 3, versions) for versions in VERSIONS), strict=True):
        assert mixed == (version_2 if "schema_version" in mixed else version_1)
        assert list(version_2)[-1] == "total_amount" == list(version_1)[-1]
        new = {
            "schema_version": 2,
            "tax_amount": version_2["tax_amount"],
            "discount_amount": version_2["discount_amount"],
        }
        again = {**version_2, "currency": version_2["currency"].upper(), "total_amount": version_1["total_amount"]}
        again["customer"] = {name: value for name, value in again["customer"].items() if name != "loyalty_tier"}
        assert again == {**version_1, **new}


def test_version_2_has_its_variety() -> None:
    made = list(orders(2_000, 0, (1, 2)))
    newer = [order for order in made if "schema_version" in order]
    assert 800 < len(newer) < 1_200
    small = [order["currency"].islower() for order in newer]
    assert 0.2 < sum(small) / len(small) < 0.3
    tiers = Counter(order["customer"].get("loyalty_tier", "left out") for order in newer)
    assert set(tiers) == {"bronze", "silver", "gold", None, "left out"}
    tier_of: dict[str, set[str | None]] = {}
    for order in newer:
        tier_of.setdefault(order["customer"]["customer_id"], set()).add(order["customer"].get("loyalty_tier"))
    assert all(len(tiers) == 1 for tiers in tier_of.values())
    for name in ("tax_amount", "discount_amount"):
        amounts = [exact(order[name]) for order in newer]
        assert 0 in amounts
        assert max(amounts) > 0
        assert all(amount >= 0 == amount % Decimal("0.01") for amount in amounts)


def test_order_ids_are_unique_and_dates_rise() -> None:
    made = list(orders(3_000))
    assert len({order["order_id"] for order in made}) == 3_000
    moments = [datetime.fromisoformat(order["order_date"]) for order in made]
    assert all(earlier < later for earlier, later in pairwise(moments))


def test_orders_are_of_the_size_that_benchmarks_count_on() -> None:
    size = sum(len(text) + 1 for text, _ in generate(20_000)) / 20_000
    assert size == pytest.approx(640, rel=0.05)


def test_customers_return_and_some_change_their_address() -> None:
    details: dict[str, set[bytes]] = {}
    uses: Counter[str] = Counter()
    for order in orders(20_000):
        uses[order["customer"]["customer_id"]] += 1
        details.setdefault(order["customer"]["customer_id"], set()).add(orjson.dumps(order["customer"]))
    assert len(uses) < 20_000 / 4
    assert uses.most_common(1)[0][1] > 20_000 / 50
    movers = sum(len(known) > 1 for known in details.values())
    assert 0 < movers < len(details) / 2
    assert any(len({orjson.loads(known)["name"] for known in several}) == 1 for several in details.values())


def test_orders_have_the_variety_that_breaks_careless_code() -> None:
    made = list(orders(20_000))
    customers = [order["customer"] for order in made]
    items = [item for order in made for item in order["items"]]
    text = orjson.dumps(made).decode()
    for sample in ["é", "伟", "م", "ח", "र", "😀", "\u0301", "\u200d", "'", '\\"', "\\n", "\\t", "\\\\"]:
        assert sample in text, f"no {sample!a}"
    assert {name[0] for name in (customer["name"] for customer in customers)} >= set("=+-@'<0")
    for field, holders in (
        ("email", customers),
        ("phone", customers),
        ("region", [customer["address"] for customer in customers]),
        ("postal_code", [customer["address"] for customer in customers]),
    ):
        states = {"left out" if field not in holder else type(holder[field]).__name__ for holder in holders}
        assert states == {"left out", "NoneType", "str"}, field
    assert any((customer["address"].get("postal_code") or "").startswith("0") for customer in customers)
    assert {len(order["items"]) for order in made} == set(range(1, 9))
    assert {type(item["quantity"]) for item in items} == {int, float}
    assert {len(repr(item["unit_price"]).split(".")[1]) for item in items} == {1, 2, 4}
    assert {item["discount"] for item in items} >= {0.0, 0.05, 0.1, 0.125, 0.15}
    assert len({order["currency"] for order in made}) >= 5
    assert {order["status"] for order in made} == set(SCHEMA["properties"]["status"]["enum"])
    zones = {re.sub(r".*T[\d:.]+", "", order["order_date"]) for order in made}
    assert zones >= {"Z", "+05:30", "-03:30"}
    assert {len(re.findall(r"\.(\d+)|$", order["order_date"])[0]) for order in made} == {0, 3, 6}


# --- invalid orders ---------------------------------------------------------------------------------------------------

UNREADABLE = {"lone_surrogate", "deep_nesting", "not_a_number", "latin_1", "broken_line"}
AGAINST_A_RULE = {"total_mismatch", "duplicate_line_number"}


@pytest.mark.parametrize(
    ("defect", "version"), [(name, version) for name, defect in DEFECTS.items() for version in defect.versions]
)
def test_a_defect_violates_the_contract_in_only_one_way(defect: str, version: int) -> None:
    expected = "parse" if defect in UNREADABLE else defect if defect in AGAINST_A_RULE else "schema"
    for text, _ in generate(200, seed=5, versions=(version,)):
        damaged = DEFECTS[defect].damage(text)
        assert faults(damaged) == [expected], damaged
        assert b"\n" not in damaged


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("count", "ratio"), [(1_000, 0.0), (1_000, 0.05), (999, 0.1), (7, 0.5), (300, 1.0), (100, 1e-9)]
)
def test_the_requested_share_of_orders_is_invalid_and_evenly_spread(fmt: str, count: int, ratio: float) -> None:
    made = list(generate(count, 0, ratio, fmt))
    invalid = [index for index, (_, defect) in enumerate(made) if defect]
    assert len(invalid) == round(ratio * count)
    assert all(bool(defect) == bool(faults(text)) for text, defect in made)
    assert len({later - earlier for earlier, later in pairwise(invalid)}) <= 2
    times = Counter(defect for _, defect in made if defect)
    possible = {
        name for name, defect in DEFECTS.items() if 1 in defect.versions and (fmt == "jsonl" or not defect.lines_only)
    }
    assert set(times) <= possible
    assert max(times.values(), default=0) - min((times[name] for name in possible), default=0) <= 1


def test_the_defects_of_each_version_alternate() -> None:
    made = list(generate(1_000, 0, 0.5, versions=(1, 2)))
    assert all(bool(defect) == bool(faults(text)) for text, defect in made)
    for version in (1, 2):
        of_version = [
            defect for text, defect in made if defect and text.startswith(b'{"schema_version"') == (version == 2)
        ]
        assert set(filter(None, of_version)) <= {name for name, defect in DEFECTS.items() if version in defect.versions}
    assert {defect for _, defect in made if defect} == set(DEFECTS)


def test_an_array_of_defective_orders_is_valid_json(tmp_path: Path) -> None:
    array = written(tmp_path / "orders.json", fmt="json", invalid_ratio=1.0)
    shallow = array.replace(b"[" * 2_000 + b"]" * 2_000, b"[]")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert len(json.loads(shallow.decode("utf-8"), parse_constant=refuse)) == 1_000


# --- writing ----------------------------------------------------------------------------------------------------------


def test_write_counts_defects_and_reports_progress(tmp_path: Path) -> None:
    news: list[int] = []
    made = write(tmp_path / "new" / "folders" / "orders", 2_500, 0, 0.02, advance=news.append)
    assert made == Counter(defect for _, defect in generate(2_500, 0, 0.02) if defect)
    assert news == [1_000, 2_000, 2_500]


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_memory_does_not_grow_with_the_orders(tmp_path: Path, fmt: str) -> None:
    write(tmp_path / "orders", 10_000, fmt=fmt)  # fills the cache of customers, which is bounded by itself
    peaks = []
    for count in (1_000, 10_000):
        tracemalloc.start()
        write(tmp_path / "orders", count, fmt=fmt)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] == pytest.approx(peaks[0], rel=0.2)
    assert peaks[1] < 2_000_000 < (tmp_path / "orders").stat().st_size


@pytest.mark.parametrize("compress", [False, True])
def test_an_interrupted_run_keeps_the_existing_file(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_bytes(b"before")

    def interrupt(written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, 5_000, compress=compress, advance=interrupt)
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == [("orders.jsonl", b"before")]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_with_130_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    arguments = [str(SCRIPT), "--orders", "50000000", "--out", str(tmp_path / "orders.jsonl")]
    program = (  # a shell that starts tests in the background makes them and their children ignore SIGINT
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 20
            while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(number)
            _, message = process.communicate(timeout=20)
        finally:
            process.kill()  # otherwise it writes until the disk is full
    assert (process.returncode, message) == (130, "Interrupted: no file was written.\n")
    assert not any(tmp_path.iterdir())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_to_the_given_path_and_reports_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--orders", "20", "--invalid-ratio", "0.1", "--format", "json", "--gzip"]) == 0
    path = Path("build/data/orders.json.gz")
    assert len(orjson.loads(gzip.decompress(path.read_bytes()))) == 20
    output = capsys.readouterr()
    assert output.out == ""
    size = path.stat().st_size
    assert output.err == f"{path}: 20 orders, {size:,} bytes, 2 invalid: 1 missing_field, 1 unknown_field\n"


def test_the_command_writes_the_requested_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for version, versions in (("1", (1,)), ("2", (2,)), ("mixed", (1, 2))):
        assert main(["--orders", "50", "--schema-version", version]) == 0
        expected = b"".join(text + b"\n" for text, _ in generate(50, versions=versions))
        assert Path("build/data/orders.jsonl").read_bytes() == expected


def test_command_defaults_to_a_thousand_valid_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert Path("build/data/orders.jsonl").read_bytes() == b"".join(text + b"\n" for text, _ in generate(1_000, 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--orders", "-1"], "--orders takes 0 to 99,999,999, not -1"),
        (["--orders", "many"], "invalid int value: 'many'"),
        (["--seed", "-1"], "--seed takes"),
        (["--invalid-ratio", "1.01"], "--invalid-ratio takes 0 to 1, not 1.01"),
        (["--invalid-ratio", "nan"], "--invalid-ratio takes"),
        (["--format", "csv"], "invalid choice: 'csv'"),
        (["--schema-version", "3"], "invalid choice: '3'"),
        (["--out", "."], "--out must be a file"),
        (["--colour"], "--colour"),
    ],
)
def test_bad_arguments_end_with_2_and_a_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    output = capsys.readouterr()
    assert (exit_.value.code, output.out) == (2, "")
    assert message in output.err
    assert output.err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_unwritable_path_ends_with_1_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file" / "orders.jsonl")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Cannot write ")
    assert message.count("\n") == 1


def test_help_names_every_defect(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in DEFECTS)
