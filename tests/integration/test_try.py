"""`pipeline try` and `pipeline contract draft`: what they print and write, and what they refuse."""

import gzip
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, cli
from pipeline.deploy.build import _contracts
from tests.integration.draft_samples import SAMPLES

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command of the CLI in a new folder. Returns exit status, stdout and stderr, and leaves no other files."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert list(temporary.iterdir()) == []
        assert not list(work.rglob(".unfinished*"))
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return command


def write(name: str, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    Path(name).write_bytes(data)
    return name


def test_try_shows_the_tables_and_writes_them_with_the_contract(run: Run) -> None:
    status, out, _ = run("try", write("orders.jsonl", SAMPLES["orders.jsonl"]))
    assert status == 0
    assert "120 rows in orders, 7 rows in customers, 180 rows in items" in out
    assert "received 120 = published 120 + rejected 0 + superseded 0" in out
    assert {path.name for path in Path("tried-orders").iterdir()} == {
        *("orders.csv", "orders.parquet", "customers.csv", "customers.parquet", "items.csv", "items.parquet"),
        *("contracts", "report.md"),
    }
    assert "## Tables" in Path("tried-orders/contracts/orders/DRAFT.md").read_text("utf-8")
    assert "120 are published" in Path("tried-orders/report.md").read_text("utf-8")


def test_the_advice_of_try_works(run: Run) -> None:
    source = write("visits.jsonl", SAMPLES["events.jsonl"])
    _, out, _ = run("try", source)
    keep = next(line.strip() for line in out.splitlines() if line.strip().startswith("cp -r "))
    _, _, contract, target = shlex.split(keep)
    assert Path(target) == ROOT / "contracts" / "visits"
    assert run("contract", "check", contract)[0] == 0
    assert run("validate", source, "--dataset", "visits", "--contracts", str(Path(contract).parent))[0] == 0


def test_errors_in_a_sample_are_rejects_and_the_draft_is_still_useful(run: Run) -> None:
    good = [{"id": number, "amount": 9.99, "day": "2026-01-05"} for number in range(97)]
    bad = [{"id": 200, "amount": "n/a", "day": "2026-01-05"}, {"id": 201, "amount": 1.5, "day": "soon"}]
    text = "".join(json.dumps(record) + "\n" for record in [*good, *bad]) + '{"id": 300, "amount": \n'
    status, out, _ = run("try", write("payments.jsonl", text))
    assert status == 0
    assert "received 100 = published 97 + rejected 3 + superseded 0" in out
    assert "/amount must be a number" in out
    draft = Path("tried-payments/contracts/payments/DRAFT.md").read_text("utf-8")
    assert "If at least 95% of a field's values have one type, it is the rule." in draft
    assert "| `payments.amount` | DECIMAL(18,4) |" in draft
    assert "| `payments.day` | DATE |" in draft
    assert "97 are published, 3 are rejected" in draft


def test_too_many_rejects_are_reported_with_status_1(run: Run) -> None:
    good = "".join(json.dumps({"id": number}) + "\n" for number in range(10))
    status, out, _ = run("try", write("broken.jsonl", good + "nonsense\n" * 5))
    assert status == 1
    assert "broken.jsonl would fail: TooManyRejectsError" in out
    assert "max_reject_ratio" in out
    assert Path("tried-broken/contracts/broken/contract.json").is_file()


def test_files_folders_patterns_and_stdin_are_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in/day=1").mkdir(parents=True)
    for number in range(4):
        record = {"id": number, "value": f"v{number}"}
        content = gzip.compress(json.dumps(record).encode()) if number == 3 else json.dumps(record)
        write(f"in/day=1/{number}.json{'.gz' if number == 3 else ''}", content)
    write("in/_SUCCESS", "")
    write("in/day=1/manifest-summary.json", json.dumps({"exportArn": "x", "itemCount": 4}))
    status, out, err = run("try", "in", "--dataset", "things")
    assert (status, "4 rows in things" in out) == (0, True), out
    assert "left out manifest-summary.json" in err
    contract = json.loads(Path("tried-things/contracts/things/contract.json").read_text("utf-8"))
    assert contract["input"]["ignore"] == ["manifest-summary.json"]
    assert "3 rows in things" in run("try", "in/*/?.json", "--dataset", "things", "--out", "b")[1]
    stdin = io.TextIOWrapper(io.BytesIO(b'[{"id": 1}, {"id": 2}]'))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert "2 rows in sample" in run("try", "-")[1]


def test_a_file_without_a_suffix_gets_a_format(run: Run) -> None:
    assert run("try", write("stream-2026", '{"id": 1}\n{"id": 2}\n'))[0] == 0
    contract = json.loads(Path("tried-stream_2026/contracts/stream_2026/contract.json").read_text("utf-8"))
    assert contract["input"] == {"format": "jsonl", "unknown_fields": "keep"}


@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("empty.json", "", 1, "There aren't any records in empty.json"),
        ("blank.jsonl", "\n\n", 1, "There aren't any records in blank.jsonl"),
        ("no.json", "hello", 1, "The document is not JSON"),
        ("number.json", "1", 1, "not an object or an array"),
        ("nulls.jsonl", '{"a": null}\n{"a": null}\n', 1, "The records have no field with a value"),
        ("image.png", b"\x89PNG\r\n\x1a\n\0\0", 1, "The document is not UTF-8"),
        ("table.csv", "a,b\n1,2\n", 1, "The document is not JSON"),
        ("cut.json", '[{"id": 1}, {"id"', 1, "cut.json"),
        ("table.parquet", b"PAR1\x15\x04", 1, "Parquet"),
        ("rare.jsonl", "".join(f'{{"k{number}": 1}}\n' for number in range(600)), 1, "their names are data"),
        ("map.json", json.dumps({f"u{n}": {"a": 1, "b": 2} for n in range(4)}), 1, "names are the keys of its records"),
    ],
)
def test_what_is_not_a_sample_is_refused(name: str, content: Any, status: int, says: str, run: Run) -> None:
    result, out, err = run("try", write(name, content))
    assert (result, says in err) == (status, True), err
    assert "next:" in err
    assert "Traceback" not in err + out
    assert [path.name for path in Path().iterdir()] == [name]


def test_a_map_can_be_converted_as_the_refusal_says(run: Run) -> None:
    _, _, err = run("try", write("map.json", json.dumps({f"u{n}": {"a": n, "b": 2} for n in range(4)})))
    command = err.replace("\n", " ").split("per line: ")[1].strip()
    assert os.system(command) == 0
    assert "4 rows in converted" in run("try", "converted.jsonl")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["try", "missing.json"], "There is no file missing.json"),
        (["try", "*.nothing"], "There is no file *.nothing"),
        (["try", "here"], "There aren't any JSON files in here"),
        (["try", "x.json", "--dataset", "Not-OK"], "can't be the name of a dataset"),
        (["try", "x.json", "--out", "here"], "here exists already"),
        (["contract", "draft", "x.json"], "Neither --dataset nor --update is given"),
        (["contract", "draft", "x.json", "--dataset", "d", "--out", "e"], "has the name of its dataset"),
        (["contract", "draft", "x.json", "--update", "here"], "There is no contract in here"),
    ],
)
def test_arguments_that_cant_be_used_are_refused(arguments: list[str], says: str, run: Run) -> None:
    write("x.json", '{"id": 1}')
    Path("here").mkdir()
    write("here/notes.txt", "x")
    status, _, err = run(*arguments)
    assert (status, says in err) == (2, True), err


def test_draft_writes_a_contract_that_check_accepts(run: Run) -> None:
    source = write("orders.jsonl", SAMPLES["orders.jsonl"])
    status, out, _ = run("contract", "draft", source, "--dataset", "shop", "--out", "mine/shop")
    assert (status, "mine/shop/" in out) == (0, True), out
    assert run("contract", "check", "mine/shop")[0] == 0
    assert run("validate", source, "--dataset", "shop", "--contracts", "mine")[0] == 0


def test_a_drafted_contract_is_updated_from_data_that_no_longer_fits(run: Run) -> None:
    old = [{"id": number, "total": 1.25, "lines": [{"sku": "a", "qty": 1}], "gone": None} for number in range(120)]
    new = [
        {"id": number, "total": 1.1234567 if number % 2 else None, "lines": [{"sku": "a", "qty": 1.5, "lot": "l"}]}
        | {"gone": "back", "gift": {"note": "n"}, "labels": ["x"]}
        for number in range(30)
    ]
    write("old.jsonl", "".join(json.dumps(one) + "\n" for one in old))
    write("new.jsonl", "".join(json.dumps(one) + "\n" for one in new))
    assert run("contract", "draft", "old.jsonl", "--dataset", "shop", "--out", "mine/shop")[0] == 0
    assert run("validate", "new.jsonl", "--dataset", "shop", "--contracts", "mine")[0] == 1
    status, out, _ = run("contract", "draft", "new.jsonl", "--update", "mine/shop", "--out", "next/shop")
    assert status == 0, out
    for says in ("/gift is new", "/labels is new", "/gone is new", "/lines/*/lot is new", "/lines/*/qty has decimals"):
        assert says in out
    assert "v1.schema.json#/gift: a new, optional field" in out
    assert run("contract", "check", "next/shop")[0] == 0
    for name in ("old", "new"):
        assert run("validate", f"{name}.jsonl", "--dataset", "shop", "--contracts", "next")[0] == 0


def test_a_new_version_is_proposed_with_its_upcast(run: Run) -> None:
    northwind = (ROOT / "tests" / "data" / "northwind_orders.jsonl").read_text("utf-8").splitlines()[:40]
    newer = {"schema_version": 3, "tax_amount": 0, "discount_amount": 0, "gift": True}
    records = [json.loads(line) | newer for line in northwind]
    for record in records:
        record["customer"] |= {"segment": "s", "loyalty_tier": None}
    records[0]["status"] = "refunded"
    write("v3.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    contract = str(ROOT / "contracts" / "orders")
    assert run("validate", "v3.jsonl")[0] == 1
    status, out, _ = run("contract", "draft", "v3.jsonl", "--update", contract, "--out", "next/orders")
    assert status == 0, out
    assert "safe    v3.schema.json: a new version" in out
    assert Path("next/orders/v2_to_v3.sql").is_file()
    assert run("contract", "check", "next/orders")[0] == 0
    old = str(ROOT / "tests" / "data" / "northwind_orders.jsonl")
    assert run("validate", old, "--contracts", "next")[0] == 0


def test_data_that_fits_needs_no_update(run: Run) -> None:
    source = write("orders.jsonl", SAMPLES["orders.jsonl"])
    run("contract", "draft", source, "--dataset", "shop", "--out", "mine/shop")
    status, out, _ = run("contract", "draft", source, "--update", "mine/shop", "--out", "next/shop")
    assert (status, out.strip()) == (0, "The contract needs no change: every field in the files fits it.")


def test_records_of_an_older_version_are_not_updated(run: Run) -> None:
    contract = str(ROOT / "contracts" / "orders")
    northwind = str(ROOT / "tests" / "data" / "northwind_orders.jsonl")
    status, _, err = run("contract", "draft", northwind, "--update", contract, "--out", "next/orders")
    assert (status, "No record names the current version" in err) == (1, True), err


def test_an_interrupt_leaves_no_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.draft.trial.try_files", interrupted)
    status, _, err = run("try", write("x.json", '{"id": 1}'))
    assert (status, "interrupted" in err) == (130, True)
    assert [path.name for path in Path().iterdir()] == ["x.json"]


def test_the_shopify_case_publishes_every_order(run: Run) -> None:
    case = str(ROOT / "tests" / "data" / "cases" / "shopify_orders.json")
    status, out, _ = run("try", case)
    assert (status, "received 12 = published 12 + rejected 0 + superseded 0" in out) == (0, True)


def test_the_guide_shows_what_try_prints(run: Run) -> None:
    guide = (ROOT / "docs" / "guides" / "use-your-own-data.md").read_text("utf-8")
    command, _, shown = guide.split("$ .venv/bin/pipeline ")[1].split("```")[0].partition("\n")
    verb, source = shlex.split(command)
    out = run(verb, str(ROOT / source))[1].splitlines()
    at = 0
    for line in filter(lambda line: line != "…", shown.splitlines()):
        assert line in out[at:], line
        at = out.index(line, at) + 1


def test_the_packages_of_the_functions_have_no_draft_md(run: Run, tmp_path: Path) -> None:
    run("contract", "draft", write("x.json", '{"id": 1}'), "--dataset", "things", "--out", "contracts/things")
    packed = dict(_contracts(Path("contracts").resolve(), ["things"]))
    assert Path("contracts/things/DRAFT.md").is_file()
    assert sorted(packed) == [f"contracts/things/{name}" for name in ("contract.json", "things.sql", "v1.schema.json")]


def test_the_proposed_rules_and_totals_can_be_accepted(run: Run) -> None:
    lines = [[{"qty": one + 1, "price": 0.25 * number} for one in range(number % 3)] for number in range(40)]
    records = [
        {"id": number, "shipping": 1.5, "lines": own}
        | {"total_amount": 1.5 + sum(line["qty"] * line["price"] for line in own)}
        for number, own in enumerate(lines)
    ]
    source = write("sales.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    _, out, _ = run("contract", "draft", source, "--dataset", "sales", "--out", "mine/sales")
    assert "/total_amount equals the sum of qty × price over /lines plus /shipping in all records" in out
    draft = Path("mine/sales/DRAFT.md").read_text("utf-8")
    path = Path("mine/sales/contract.json")
    contract = json.loads(path.read_text("utf-8"))
    for snippet in re.findall(r"```json\n(.*?)```", draft, re.DOTALL):
        for name, parts in json.loads(f"{{{snippet}}}").items():
            contract[name] = [*contract.get(name, []), *parts]
    assert {rule["code"] for rule in contract["rules"]} == {"total_amount_mismatch"}
    path.write_text(json.dumps(contract), "utf-8")
    assert run("contract", "check", "mine/sales")[0] == 0
    broken = json.dumps({**records[5], "id": 99, "total_amount": 7.25}) + "\n"
    Path("sales.jsonl").write_text(Path("sales.jsonl").read_text("utf-8") + broken, "utf-8")
    status, out, _ = run("validate", source, "--dataset", "sales", "--contracts", "mine")
    assert (status, "total_amount_mismatch: 1" in out, "total_amount: validated" in out) == (0, True, True)
