"""A contract's folder as it was in another revision of the repository."""

import io
import subprocess
import tarfile
from pathlib import Path

from pipeline import ROOT
from pipeline.errors import UsageError

MAIN = "origin/main"


def base_revision() -> str:
    """The revision that a change is measured against: where it left main, or on main itself the one before.

    Empty where there is none: not a clone, or one without history.
    """
    if (left := _git("merge-base", "HEAD", MAIN)) and left != _git("rev-parse", "HEAD"):
        return left
    return _git("rev-parse", "--verify", "--quiet", "HEAD^")


def folder_at(revision: str, folder: Path, into: Path) -> Path | None:
    """A folder of the repository, unpacked into `into` as it was in `revision`; None where it was not there yet.

    Raises UsageError where there is no such revision.
    """
    if not folder.resolve().is_relative_to(ROOT):
        raise UsageError(f"{folder} is not in the repository.", "Name a folder in it, such as contracts/orders.")
    place = folder.resolve().relative_to(ROOT)
    if not _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
        raise UsageError(f"git knows no revision {revision}.", "Name a branch, a tag or a commit; fetch it first.")
    packed = subprocess.run(["git", "archive", revision, str(place)], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into / place


def feeds_at(revision: str, root: Path) -> list[Path]:
    """The contracts' folders that stood under `root`, a folder of the repository, in a revision."""
    if not root.resolve().is_relative_to(ROOT):
        return []
    listed = _git("ls-tree", "-r", "--name-only", revision, f"{root.resolve().relative_to(ROOT)}/")
    return [ROOT / Path(name).parent for name in listed.splitlines() if name.endswith("/contract.json")]


def _git(*arguments: str) -> str:
    """What git answers, or nothing where it can't."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
