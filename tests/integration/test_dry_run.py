"""`pipeline validate` predicts the result of a run for a file, and leaves no files."""

import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.common.errors import ResourceLimitError
from pipeline import ROOT, cli
from pipeline.contract import dry_run as dry_run_module
from pipeline.contract.dry_run import dry_run
from pipeline.contract.rules import rules_here
from tests import harness
from tests.unit.orders import lines, order

MIXED = lines([*(order(order_id=str(n)) for n in range(30)), order(order_id="7", shipping_cost=1)]) + b"nonsense\n"
HOPELESS = lines([order(status="lost")]) * 3


@pytest.fixture
def pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run `pipeline validate` on some bytes. Returns exit status, stdout and stderr, and checks for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def run(data: bytes, *options: str, name: str = "x.jsonl") -> tuple[int, str, str]:
        (tmp_path / name).write_bytes(data)
        monkeypatch.setattr(sys, "argv", ["pipeline", "validate", str(tmp_path / name), *options])
        environment = dict(os.environ)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert dict(os.environ) == environment
        assert list(temporary.iterdir()) == []
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


def of_a_run(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("batch_id", "ingested_at")}


@pytest.mark.parametrize("chunk_bytes", [10**6, 4000])
def test_validate_predicts_the_result_of_a_run(
    chunk_bytes: int, pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_chunk_bytes", str(chunk_bytes))
    status, out, _ = pipeline(MIXED, "--out", str(tmp_path / "out"))
    with harness.buckets(monkeypatch):
        batch = harness.run(MIXED, chunk_bytes=chunk_bytes)
        manifest = harness.manifest(batch)
        expected = {
            name: [of_a_run(row) for row in csv.DictReader(harness.get(batch.csv_key(name)).decode().splitlines())]
            for name in manifest["tables"]
        }
        rejects = [of_a_run(orjson.loads(line)) for line in harness.get(batch.rejected_key).splitlines()]
    assert (status, out.splitlines()[-1]) == (
        0,
        "PUBLISHABLE dataset=orders received=32 published=30 rejected=1 superseded=1 orders=30 customers=1 items=60",
    )
    for name, rows in expected.items():
        with (tmp_path / "out" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert [of_a_run(row) for row in csv.DictReader(file)] == rows
    found = (tmp_path / "out" / "rejects.jsonl").read_bytes().splitlines()
    assert [of_a_run(orjson.loads(line)) for line in found] == rejects
    tried = json.loads((tmp_path / "out" / "manifest.json").read_text())
    same = ("counts", "rejected_by_reason", "records_by_version", "drift", "control_totals", "contract_version")
    assert {name: tried[name] for name in same} == {name: manifest[name] for name in same}


@pytest.mark.parametrize(
    ("data", "name", "error"),
    [
        (HOPELESS, "x.jsonl", "NoValidRecordsError"),
        (lines([order(), order(status="lost")]), "x.jsonl", "TooManyRejectsError"),
        (b"", "x.jsonl", "EmptyFileError"),
        (b"{", "x.json", "MalformedDocumentError"),
        (b"\xff\xfe{\0}\0", "x.jsonl", "EncodingError"),
        (b"\x1f\x8bnot gzip", "x.jsonl.gz", "CorruptGzipError"),
        (b"a;b", "x.csv", "UnsupportedFormatError"),
    ],
)
def test_a_file_that_would_fail_is_reported_with_the_next_step(
    data: bytes, name: str, error: str, pipeline: Any
) -> None:
    status, out, _ = pipeline(data, name=name)
    assert status == 1
    assert f"{name} would fail by the rules of this checkout: {error}" in out
    assert "  next: " in out
    assert out.splitlines()[-1] == f"NOT PUBLISHABLE dataset=orders error={error}"


def test_the_rejects_of_a_file_that_would_fail_are_shown_and_kept(pipeline: Any, tmp_path: Path) -> None:
    _, out, _ = pipeline(HOPELESS, "--samples", "2", "--out", str(tmp_path / "out"))
    assert "not_an_allowed_value: 3" in out
    assert out.count("/status must be one of pending, paid, shipped, delivered, cancelled") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejects.jsonl"]
    assert len((tmp_path / "out" / "rejects.jsonl").read_bytes().splitlines()) == 3


def test_json_output_is_one_object(pipeline: Any) -> None:
    status, out, _ = pipeline(MIXED, "--json", "--samples", "1")
    answer = json.loads(out)
    assert (status, answer["publishable"], answer["failure"]) == (0, True, None)
    assert answer["rejected_by_reason"] == {"not_json": 1, "superseded": 1}
    assert answer["rejects"]["not_json"][0]["errors"][0]["code"] == "not_json"
    status, out, _ = pipeline(HOPELESS, "--json")
    assert (status, json.loads(out)["failure"]["error"]) == (1, "NoValidRecordsError")


def test_validate_uses_the_settings_that_would_be_deployed(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = lines([order(coupon="SECRET"), order(order_id="2")])
    assert pipeline(strange)[0] == 1
    monkeypatch.setenv("TF_VAR_unknown_fields", "drop")
    status, out, _ = pipeline(strange)
    assert status == 0
    assert "/coupon: 1 record of version 1: the field was dropped" in out


def test_a_record_is_never_shown(pipeline: Any) -> None:
    secret = order(
        customer={**order()["customer"], "name": 7, "email": ["SECRET"]}, status="SECRET", order_id="S" * 200
    )
    _, out, err = pipeline(lines([secret]))
    assert "SECRET" not in out + err
    assert "S" * 129 not in out + err


@pytest.mark.parametrize(
    ("options", "says", "status"),
    [
        (("--dataset", "nothing"), "there are contracts for: orders", 1),
        (("--dataset", "../../evil"), "can't be the name of a dataset", 2),
        (("--contracts", "no/such/folder"), "There is no folder no/such/folder.", 1),
        (("--target", "moon"), "TARGET must be one of aws, local, not moon.", 2),
        (("--samples", "-1"), "Invalid value for '--samples'", 2),
    ],
)
def test_a_wrong_option_is_named(options: tuple[str, ...], says: str, status: int, pipeline: Any) -> None:
    found, out, err = pipeline(MIXED, *options)
    assert found == status
    assert says in out + err


def test_a_missing_file_is_reported_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pipeline", "validate", "no/such/file"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert "There is no file no/such/file." in capsys.readouterr().err


def test_results_never_replace_the_input(pipeline: Any, tmp_path: Path) -> None:
    status, _, err = pipeline(MIXED, "--out", str(tmp_path), name="rejects.jsonl")
    assert (status, (tmp_path / "rejects.jsonl").read_bytes()) == (2, MIXED)
    assert "where the outputs could replace it" in err
    (tmp_path / "file").write_text("x")
    assert pipeline(MIXED, "--out", str(tmp_path / "file"))[0] == 2


def test_results_of_an_earlier_run_are_removed(pipeline: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    pipeline(MIXED, "--out", str(out))
    assert (out / "orders.csv").is_file()
    pipeline(b"", "--out", str(out))
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (RuntimeError("Query interrupted"), 130, "interrupted"),
        (ResourceLimitError("The function's disk (/tmp) is full."), 1, "Set TMPDIR to a folder with more space"),
        (OSError(28, "No space left on device", "/tmp/x"), 1, "Set TMPDIR to a folder with more space"),
    ],
)
def test_an_error_of_this_machine_is_not_blamed_on_the_file(
    raised: Exception, status: int, says: str, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(dry_run_module, "transform", fail)
    found, out, err = pipeline(MIXED)
    assert (found, "PUBLISHABLE" in out) == (status, False)
    assert says in err


def test_progress_shows_how_much_of_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(MIXED * 200)
    read: list[int] = []
    with dry_run(path, "orders", rules_here(ROOT / "contracts"), read.append) as result:
        assert result.manifest
        assert result.manifest.counts.received == 32 * 200
    assert max(read) == path.stat().st_size
    assert len(read) > 2
