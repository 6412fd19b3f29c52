"""The `pipeline contract check` and `pipeline contract diff` commands."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from functions.common.batch import DATASET_NAME
from pipeline import ROOT
from pipeline import console as show
from pipeline.contract.change import PRODUCERS, READERS
from pipeline.contract.check import check, warnings
from pipeline.contract.diff import Diff, diff
from pipeline.contract.revisions import base_revision, datasets_at, folder_at
from pipeline.deploy.build import CONTRACTS, EXAMPLES
from pipeline.deploy.targets import contracts_folder
from pipeline.errors import CliError, UsageError

app = typer.Typer(help="Check contracts, and compare them with earlier revisions.", no_args_is_help=True)

_SHIPPED = (CONTRACTS, EXAMPLES)


@app.command("check")
def check_command(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Default: all contracts.")] = None,
    since: Annotated[str, typer.Option(help="The Git revision to compare with. Default: the merge base.")] = "",
) -> None:
    """Check contracts for faults and for breaking changes.

    A change must not break producers, readers or stored tables, unless a new version allows it.

    Example: pipeline contract check contracts/orders --since origin/main
    """
    roots = dict.fromkeys([*_SHIPPED, contracts_folder()])
    chosen = folders or [path.parent for root in roots for path in sorted(root.glob("*/contract.json"))]
    n_faults = 0
    for folder in chosen:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {folder}.", "Give the folder of a contract, such as contracts/orders."
            )
        faults = check(folder.resolve())
        n_faults += len(faults)
        for fault in faults:
            show.out.print(f"{escape(_short(fault.file))}:{fault.line}: {show.plain(fault.says)}")
            show.out.print(f"  [bold]fix:[/bold] {escape(fault.advice)}")
        for warning in [] if faults else warnings(folder.resolve()):
            show.out.print(f"{escape(_short(warning.file))}:{warning.line}: warning: {show.plain(warning.says)}")
            show.out.print(f"  [bold]to avoid this:[/bold] {escape(warning.advice)}")
    if n_faults:
        how_many = "1 fault" if n_faults == 1 else f"{n_faults} faults"
        raise CliError(f"The contracts have {how_many}.", "Fix them as described above, then run the command again.")
    revision = since or base_revision()
    refused = _compare_with_base(chosen, revision)
    if revision and not folders:
        refused += _look_for_gone([one for root in roots for one in datasets_at(revision, root)], revision)
    if refused:
        raise CliError(f"{_changes_break(refused)} users of the contracts.", "Follow the advice above.")
    agree = "contract has no faults" if len(chosen) == 1 else "contracts have no faults"
    show.out.print(f"{len(chosen)} {agree}: {', '.join(folder.name for folder in chosen)}.")


def _changes_break(number: int) -> str:
    return "One change breaks" if number == 1 else f"{number} changes break"


def _compare_with_base(folders: list[Path], revision: str) -> int:
    """Print the changes since a revision, and return the number of refused changes."""
    if not revision:
        show.step("not compared: there is no earlier revision in this repository")
        return 0
    refused = 0
    for folder in folders:
        if folder.resolve().is_relative_to(ROOT):
            with tempfile.TemporaryDirectory() as temporary:
                before = folder_at(revision, folder, Path(temporary))
                if before:
                    found = diff(before, folder.resolve())
                    refused += len(found.refused)
                    if found.changes:
                        show.out.print(f"{escape(_short(folder.resolve()))}, since {escape(revision[:12])}:")
                        show_diff(found)
    return refused


def _look_for_gone(datasets: list[Path], revision: str) -> int:
    """Print the datasets that are gone since a revision, and return the number of those that were not retired."""
    refused = 0
    for folder in datasets:
        if (folder / "contract.json").is_file():
            continue
        with tempfile.TemporaryDirectory() as temporary:
            before = folder_at(revision, folder, Path(temporary))
            data = json.loads((before / "contract.json").read_text("utf-8")) if before else {}
        if retired := data.get("retired"):
            show.out.print(
                f"  [yellow]allowed[/yellow] {escape(_short(folder))}: the dataset is gone: {show.plain(retired)}"
            )
            continue
        refused += 1
        show.out.print(
            f"  [red]breaks[/red]  {escape(_short(folder))}: the dataset is gone ({PRODUCERS} and {READERS})"
        )
        show.out.print(
            '          [bold]fix:[/bold] First add "retired" with the reason to its contract.json, and merge it.'
        )
    return refused


@app.command("diff")
def diff_command(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The old folder, or REVISION:FOLDER.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The new folder, or REVISION:FOLDER.")],
) -> None:
    """Show who is affected by the changes to a contract.

    A change can break producers, readers of the tables, or stored Parquet.

    Exits with 1 if a change breaks any of them and no new version allows the change.

    Example: pipeline contract diff v1.0:contracts/orders contracts/orders
    """
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        found = diff(_folder(before, Path(first)), _folder(after, Path(second)))
    if not found.changes:
        show.out.print("The contracts have no differences.")
    show_diff(found)
    if found.refused:
        raise CliError(f"{_changes_break(len(found.refused))} users of the contract.", "Follow the advice above.")


def _folder(name: str, into: Path) -> Path:
    """Return the folder of a contract, copied under the dataset's name if it has another name. Raises UsageError."""
    revision, colon, place = name.rpartition(":")
    if not colon:
        folder: Path | None = Path(name).resolve()
    else:
        folder = folder_at(revision, ROOT / place, into)
    if folder is None or not (folder / "contract.json").is_file():
        raise UsageError(f"There is no contract at {name}.", "Give the folder of a contract, or REVISION:FOLDER.")
    try:
        dataset = str(json.loads((folder / "contract.json").read_text("utf-8"))["dataset"])
    except (ValueError, KeyError, TypeError):
        return folder  # loading the contract reports this fault
    if dataset == folder.name or not DATASET_NAME.fullmatch(dataset):
        return folder
    (into / "copy").mkdir()
    return Path(shutil.copytree(folder, into / "copy" / dataset))


def show_diff(found: Diff) -> None:
    """Print the changes of a contract, and whom each breaks."""
    for change in found.changes:
        if not change.breaks:
            show.out.print(f"  [green]safe[/green]    {escape(change.place)}: {show.plain(change.says)}")
            continue
        is_refused = change in found.refused
        mark = "[red]breaks[/red] " if is_refused else "[yellow]allowed[/yellow]"
        whom = " and ".join(change.breaks)
        show.out.print(f"  {mark} {escape(change.place)}: {show.plain(change.says)} ({whom})")
        if is_refused:
            show.out.print(f"          [bold]fix:[/bold] {escape(change.needs)}")
        else:
            show.out.print(f"          by the new version: {show.plain(found.why)}")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
