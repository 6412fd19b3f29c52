"""What `pipeline validate` says about its results is true on the machine where it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.orders import lines, order

BAD = lines([order(status="lost")])


def validate(path: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "validate", str(path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("data", "files"),
    [(b"", set()), (BAD, {"rejects.jsonl"}), (lines([order()]), {"orders.csv", "manifest.json"})],
    ids=["no file", "rejects", "tables"],
)
def test_the_output_folder_is_named_only_if_it_has_files(data: bytes, files: set[str], tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    out = tmp_path / "out"
    printed = validate(tmp_path / "x.jsonl", "--out", str(out))
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    assert files <= found
    assert bool(found) is bool(files)
    assert (f"The outputs are in {out}/" in printed) is bool(files)


@pytest.mark.parametrize("data", [BAD, lines([order(), order(status="lost")])], ids=["all", "too many"])
def test_no_s3_address_is_shown_for_a_local_run(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    printed = validate(tmp_path / "x.jsonl")
    assert "s3://" not in printed
    assert "See the rejects below." in printed
    assert "/status must be one of" in printed


def test_the_next_step_about_a_dataset_works(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(lines([order()]))
    printed = validate(tmp_path / "x.jsonl", "--dataset", "order")
    assert "there are contracts for: orders" in printed
    assert "Set --dataset to one of these" in printed
    assert "PUBLISHABLE dataset=orders" in validate(tmp_path / "x.jsonl", "--dataset", "orders")
