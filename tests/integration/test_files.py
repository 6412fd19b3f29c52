"""A file for a person is complete or doesn't exist, and an error about a full disk names the path."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import ROOT, system_errors
from pipeline.console import files
from pipeline.contract.dry_run import DryRun
from pipeline.deploy import build
from pipeline.errors import CliError, UsageError
from pipeline.run import commands as run_commands
from pipeline.run import runs
from tests import documents
from tests.unit.orders import lines, order

LARGE = "x" * 100_000


@contextmanager
def small_files(limit: int = 50_000) -> Iterator[None]:
    """Limit the size of files in bytes: beyond it a write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_cannot_be_completed_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(CliError, match=f"^{path} can't be written: the file would exceed") as refused, small_files():
        files.write_text(path, LARGE)
    assert "ulimit -f" in refused.value.next_step
    assert names(tmp_path) == []
    files.write_text(path, LARGE)
    assert path.read_text() == LARGE, "once there is room, the same works"


def test_the_previous_content_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(CliError), small_files():
        files.write_text(path, LARGE)
    assert (path.read_text(), names(tmp_path)) == ("old", ["plan.md"])
    files.write_text(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_links_and_devices_are_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    files.write_text(tmp_path / "link.html", "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"
    with pytest.raises(CliError, match=r"^/dev/full can't be written: the disk is full"):
        files.write_text(Path("/dev/full"), "x")
    assert Path("/dev/full").is_char_device()


def test_a_missing_folder_is_named_instead_of_a_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=f"^{tmp_path}/nowhere/x.html: No such file") as refused:
        files.write_text(tmp_path / "nowhere" / "x.html", "x")
    assert "Check the path" in refused.value.next_step


def dry_run_of(folder: Path, table: str) -> DryRun:
    folder.mkdir()
    (folder / "1").write_text(table)
    (folder / "2").write_text("{}\n")
    return DryRun("orders", documents.manifest(), {"orders.csv": folder / "1"}, [folder / "2"])


@pytest.mark.parametrize("is_new", [True, False])
def test_results_that_do_not_fit_on_the_disk_leave_the_folder_unchanged(tmp_path: Path, is_new: bool) -> None:
    out = tmp_path / "out"
    if not is_new:
        dry_run_of(tmp_path / "first", "old").copy_to(out)
        (out / "mine.txt").write_text("of somebody")
    second = dry_run_of(tmp_path / "second", LARGE)
    with pytest.raises(CliError, match=f"^{out} can't be written") as refused, small_files():
        second.copy_to(out)
    assert str(tmp_path / "second") not in str(refused.value), "the source is not what is full"
    if is_new:
        assert not out.exists()
    else:
        assert names(out) == ["manifest.json", "mine.txt", "orders.csv", "rejects.jsonl"]
        assert (out / "orders.csv").read_text() == "old"
    dry_run_of(tmp_path / "third", LARGE).copy_to(out)
    assert (out / "orders.csv").read_text() == LARGE


def test_new_results_replace_those_of_the_run_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    dry_run_of(tmp_path / "first", "old").copy_to(out)
    (out / runs.REPORT).write_text("of the run before")
    DryRun("orders", None, {}, []).copy_to(out)
    assert names(out) == []


def test_a_folder_with_a_foreign_manifest_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"tables": {"orders": {}}}')
    (tmp_path / "orders.csv").write_text("of somebody")
    with pytest.raises(UsageError, match=r"manifest\.json can't be read as a manifest") as refused:
        DryRun("orders", documents.manifest(), {}, []).copy_to(tmp_path)
    assert refused.value.next_step == "Choose another folder, or remove that file."
    assert names(tmp_path) == ["manifest.json", "orders.csv"]


def test_a_zip_that_cannot_be_completed_is_removed(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(100_000))
    path = tmp_path / "build" / "validate.zip"
    with pytest.raises(CliError, match=f"^{path} can't be written"), small_files():
        build._write_zip(path, {"source": tmp_path / "source"})
    assert names(path.parent) == []


def test_output_that_does_not_fit_is_reported_as_an_error() -> None:
    command = [sys.executable, "-m", "pipeline", "estimate", "--orders", "5"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "can't be written: the disk is full" in done.stderr
    assert "Exception ignored" not in done.stderr


# --- a real disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def validate(file: Path, out: Path, temporary: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline", "validate", str(file), "--out", str(out)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_full_disk_is_named_and_the_advice_works(tmp_path: Path, small_disk: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_bytes(lines([order(order_id=str(number)) for number in range(1500)]))
    done = validate(file, small_disk / "out", tmp_path)
    assert done.returncode == 1
    assert f"error: {small_disk}/out can't be written: the disk is full." in done.stderr
    assert names(small_disk) == []
    assert validate(file, tmp_path / "out", tmp_path).returncode == 0, "a place on another disk works"
    done = validate(file, tmp_path / "out", small_disk)
    assert done.returncode == 1
    assert "There is not enough disk space" in done.stderr
    assert f"Set TMPDIR to a folder with more space than {small_disk}" in done.stderr


def test_the_system_s_own_errors_name_the_place_and_not_the_source(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device", "/source", None, "/target")
    assert str(system_errors.of_file(full)) == "/target can't be written: the disk is full."
    denied = PermissionError(13, "Permission denied", "/target")
    assert "Ask its owner for permission" in system_errors.of_file(denied).next_step


def test_orders_that_can_t_be_generated_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_commands, "GENERATED", Path("/dev/null/orders.jsonl"))
    with pytest.raises(CliError, match="Generating orders failed"):
        run_commands._generate()
