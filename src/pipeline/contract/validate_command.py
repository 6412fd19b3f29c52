"""The `pipeline validate` command, which checks a file against the contract on this machine."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from functions.common.batch import DATASET_NAME
from pipeline import console as show
from pipeline.console import as_json
from pipeline.console.balance import balance
from pipeline.console.files import check_input
from pipeline.contract import rules
from pipeline.contract.dry_run import DryRun, dry_run
from pipeline.deploy.targets import contracts_with, target
from pipeline.errors import UsageError
from pipeline.options import DeployedRules
from pipeline.run import runs
from pipeline.run.ignored import check_not_ignored


def validate(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to check.")],
    dataset: Annotated[str, typer.Option(help="The dataset of the file.")] = "orders",
    contracts: Annotated[
        Path | None, typer.Option(help="A folder of contracts that replaces the one in contracts_dir.")
    ] = None,
    target_name: DeployedRules = "",
    out: Annotated[Path | None, typer.Option(help="A folder for the tables, the rejects and the manifest.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="The number of rejects to show for each reason.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")] = False,
) -> None:
    """Check a file on this machine, without sending it.

    The rejects, messages and tables are the same as in a real run.

    Exits with 0 if the file would be published, and with 1 if not.

    Example: pipeline validate orders.jsonl --out tried
    """
    _check_input(path, dataset, out)
    with tempfile.TemporaryDirectory(prefix="pipeline-rules-") as folder:
        if target_name:
            applied = rules.rules_of(target(target_name), Path(folder))
        else:
            applied = rules.rules_here(contracts or contracts_with(dataset))
        check_not_ignored(path, dataset, applied.contracts)
        with _reading(path) as on_read, dry_run(path, dataset, applied, on_read) as result:
            has_files = result.copy_to(out) if out else False
            found = _Rejects(result.reject_lines(), samples)
    if as_json:
        print(json.dumps(_content(result, found), ensure_ascii=False))
    else:
        _show(path, result, found, applied.origin)
        if out:
            written = f"The outputs are in {out}/." if has_files else "There are no outputs."
            show.out.print(f"\n{escape(written)}")
        show.out.print(escape(_line(result)))
    if not result.published:
        raise typer.Exit(1)


def _check_input(path: Path, dataset: str, out: Path | None) -> None:
    """Raise UsageError if the input can't be read or the outputs can't be written."""
    check_input(path, "pipeline validate path/to/orders.jsonl")
    if not DATASET_NAME.fullmatch(dataset):
        raise UsageError(f"{dataset} can't be the name of a dataset.", "Use only a-z, 0-9 and _.")
    if out and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder.", "Give a folder for the outputs. It does not need to exist.")
    if out and out.resolve() == path.resolve().parent:
        raise UsageError(f"{path} is in {out}, where the outputs could replace it.", "Choose another folder.")


class _Rejects:
    """The number of rejects by reason, with samples for each reason."""

    def __init__(self, lines: Iterator[bytes], samples: int) -> None:
        self.by_reason: Counter[str] = Counter()
        self.samples: dict[str, list[Mapping[str, Any]]] = {}
        for line in lines:
            reject = json.loads(line)
            reason = reject["reason"]
            self.by_reason[reason] += 1
            if self.by_reason[reason] <= samples:
                kept = {name: reject[name] for name in ("contract_version", "position", "position_kind", "errors")}
                self.samples.setdefault(reason, []).append(kept)


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Show the progress of reading and of creating the tables on a terminal. Yields a callback for the bytes read."""
    columns = (TextColumn("[dim]·[/dim] {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=show.err, transient=True, disable=not show.err.is_terminal) as progress:
        size = path.stat().st_size
        task = progress.add_task("checking", total=size)
        bar = progress.tasks[0]

        def on_read(at: int) -> None:
            progress.update(task, completed=max(at, bar.completed))  # parts of the file are read twice
            if at == size:
                progress.update(task, description="creating the tables")

        yield on_read


def _show(path: Path, result: DryRun, found: _Rejects, origin: str) -> None:
    name = show.plain(path.name)
    if result.manifest:
        show.out.print(f"[bold green]{name} would be published[/bold green] by the rules of {escape(origin)}")
        balance(result.manifest)
    else:
        show.out.print(f"[bold red]{name} would fail[/bold red] by the rules of {escape(origin)}: {result.error}")
        show.out.print(f"  {escape(result.cause)}")
        show.out.print(f"  [bold]next:[/bold] {escape(result.next_step)}")
    for reason, rejects in found.samples.items():
        show.out.print(f"\n[bold]{escape(reason)}[/bold]: {found.by_reason[reason]}")
        for reject in rejects:
            for number, error in enumerate(reject["errors"]):
                place = f"{reject['position_kind']} {reject['position']}: " if number == 0 else ""
                show.out.print(f"  {place}{show.plain(error['message'])}")


def _content(result: DryRun, found: _Rejects) -> dict[str, Any]:
    failure = {"error": result.error, "cause": result.cause, "next_step": result.next_step}
    return {
        "publishable": result.published,
        "failure": None if result.published else failure,
        "manifest": as_json.plain(result.manifest),
        "rejected_by_reason": dict(found.by_reason),
        "rejects": found.samples,
    }


def _line(result: DryRun) -> str:
    """Return the outcome as one line for scripts."""
    if result.manifest is None:
        return f"NOT PUBLISHABLE dataset={result.dataset} error={result.error}"
    return f"PUBLISHABLE dataset={result.dataset} {runs.numbers_of(result.manifest)}"


COMMANDS: Mapping[str, Callable[..., None]] = {"validate": validate}
