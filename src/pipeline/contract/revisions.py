"""Reads the folders of contracts from another revision of the repository."""

import io
import subprocess
import tarfile
from pathlib import Path

from pipeline import ROOT
from pipeline.errors import UsageError

MAIN = "origin/main"


def base_revision() -> str:
    """Return the revision to compare with: the merge base with main, or on main itself, the previous revision.

    Returns an empty string if there is no such revision, because this isn't a clone or it has no history.
    """
    if (left := _git("merge-base", "HEAD", MAIN)) and left != _git("rev-parse", "HEAD"):
        return left
    return _git("rev-parse", "--verify", "--quiet", "HEAD^")


def folder_at(revision: str, folder: Path, into: Path) -> Path | None:
    """Unpack a folder of the repository at `revision` into `into`, and return its path.

    Returns None if the revision doesn't have the folder. Raises UsageError if the revision doesn't exist.
    """
    if not folder.resolve().is_relative_to(ROOT):
        raise UsageError(f"{folder} is not in the repository.", "Give a folder in it, such as contracts/orders.")
    place = folder.resolve().relative_to(ROOT)
    if not _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
        raise UsageError(
            f"git doesn't know the revision {revision}.", "Give a branch, tag or commit. If necessary, fetch it first."
        )
    packed = subprocess.run(["git", "archive", revision, str(place)], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into / place


def datasets_at(revision: str, root: Path) -> list[Path]:
    """Return the folders of contracts under `root`, a folder of the repository, at a revision."""
    if not root.resolve().is_relative_to(ROOT):
        return []
    listed = _git("ls-tree", "-r", "--name-only", revision, f"{root.resolve().relative_to(ROOT)}/")
    return [ROOT / Path(name).parent for name in listed.splitlines() if name.endswith("/contract.json")]


def _git(*arguments: str) -> str:
    """Return the output of git, or an empty string if git fails or isn't installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
