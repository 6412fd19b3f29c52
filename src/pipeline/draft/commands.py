"""`pipeline try` and `pipeline contract draft`: from a sample to tables, and to a contract."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from functions.common.batch import DATASET_NAME
from functions.common.contract import load_contract
from functions.common.planning import UNKNOWN_DATASET
from functions.common.source.compression import without_suffix
from pipeline import ROOT
from pipeline import console as show
from pipeline.contract.check import check
from pipeline.contract.commands import show_diff
from pipeline.contract.diff import diff
from pipeline.contract.dry_run import settings_of
from pipeline.contract.rules import Rules, rules_here
from pipeline.deploy.targets import contracts_folder
from pipeline.draft import show as show_draft
from pipeline.draft.drafting import Draft
from pipeline.draft.names import snake
from pipeline.draft.sample import Sample, read_sample
from pipeline.draft.sample_files import STDIN, SampleFile, sample_files
from pipeline.draft.trial import CONTRACTS, Trial, draft_and_try, try_files
from pipeline.draft.update import Update, named_version, propose, write_update
from pipeline.errors import CliError, UsageError

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders, patterns, or - for stdin.")]

_MOST_NAME = 30


def try_command(
    files: Files,
    dataset: Annotated[str, typer.Option(help="The name of the dataset; by default that of the file.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="A new folder for the tables and the contract; by default tried-DATASET.")
    ] = None,
) -> None:
    """See JSON files as tables, without a contract.

    Drafts a contract from all records of the files, runs the functions' own code with it, and writes the tables as
    Parquet and CSV. Nothing is uploaded.

    Exits with 0 if all files would be published, and with 1 if not.

    Example: pipeline try orders.jsonl
    """
    dataset = dataset or _dataset_of(files)
    _check_dataset(dataset)
    folder = out or Path(f"tried-{dataset}")
    _check_new(folder)
    with sample_files(files) as (found, ignored), _filled(folder) as unfinished:
        drafted, tried = _draft_and_try(found, ignored, dataset, unfinished)
    show_draft.trial(drafted, tried, folder)
    show_draft.questions(drafted)
    show.out.print(f"\nThe tables and the contract are in {escape(str(folder))}/.")
    _show_next(files, drafted, tried, folder)
    if not tried.is_published:
        raise typer.Exit(1)


def draft_command(
    files: Files,
    dataset: Annotated[str, typer.Option(help="The name of the dataset.")] = "",
    out: Annotated[Path | None, typer.Option(help="A new folder; by default contracts/DATASET.")] = None,
    update: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The contract to change, so that the files fit it.")
    ] = None,
) -> None:
    """Draft a contract from JSON files.

    Writes the folder of a contract that `pipeline contract check` accepts, with DRAFT.md, which explains each decision
    and has the open questions.

    With --update, proposes the next version of a contract, and shows whom the change would break.

    \b
    pipeline contract draft orders.jsonl --dataset orders2
    pipeline contract draft new.jsonl --update contracts/orders --out proposed/orders
    """
    if update:
        _update(files, update, out)
    elif dataset:
        _draft(files, dataset, out)
    else:
        raise UsageError(
            "Neither --dataset nor --update is given.",
            "Name the new dataset: pipeline contract draft FILE --dataset NAME.",
        )


def _draft(files: Sequence[str], dataset: str, out: Path | None) -> None:
    """Write a drafted contract, and print what it has."""
    _check_dataset(dataset)
    folder = out or contracts_folder() / dataset
    _check_new(folder)
    if folder.name != dataset:
        raise UsageError(
            f"A contract's folder has the name of its dataset, {dataset}.", f"Write --out {folder / dataset}."
        )
    with tempfile.TemporaryDirectory(prefix="pipeline-draft-") as temporary:
        with sample_files(files) as (found, ignored):
            drafted, tried = _draft_and_try(found, ignored, dataset, Path(temporary))
        made = Path(temporary) / CONTRACTS / dataset
        _check_sound(made)
        with _filled(folder) as unfinished:
            shutil.copytree(made, unfinished, dirs_exist_ok=True)
    show_draft.written(drafted, folder)
    show_draft.counts(tried)
    show_draft.questions(drafted)
    show_draft.next_steps(
        [
            ("Check a file", f"pipeline validate {_first(files)} --dataset {dataset}{_contracts_option(folder)}"),
            ("Check the contract after a change", f"pipeline contract check {shlex.quote(str(folder))}"),
        ]
    )
    if not tried.is_published:
        raise typer.Exit(1)


def _update(files: Sequence[str], contract: Path, out: Path | None) -> None:
    """Write a copy of a contract that accepts the files, and print what has changed."""
    if not (contract / "contract.json").is_file():
        raise UsageError(f"There is no contract in {contract}.", "Name the folder of one, such as contracts/orders.")
    contract = contract.resolve()
    if faults := check(contract):
        raise CliError(f"The contract has a fault: {faults[0].says}.", f"Correct it first: {faults[0].advice}")
    folder = out or Path("proposed") / contract.name
    _check_new(folder)
    if folder.name != contract.name:
        raise UsageError(f"The folder must be called {contract.name}.", f"Write --out {folder / contract.name}.")
    rules = rules_here(contract.parent)
    with sample_files(files) as (found, ignored):
        update, sample = _proposed(found, ignored, contract, rules)
        if not update.changes:
            show.out.print("The contract needs no change: every field in the files fits it.")
        for change in update.changes:
            show.out.print(f"  {show.plain(change)}")
        for change in update.by_hand:
            show.out.print(f"  [yellow]by hand[/yellow] {show.plain(change)}")
        if not update.changes:
            return
        with _filled(folder) as unfinished:
            write_update(update, contract, unfinished)
            load_contract.cache_clear()
            sound = not check(unfinished)
            with tempfile.TemporaryDirectory(prefix="pipeline-draft-") as temporary:
                applied = Rules(unfinished.parent, rules.settings, "the proposal")
                tried = try_files(sample.files, contract.name, applied, Path(temporary), lambda _file, _at: None)
    show_draft.counts(tried)
    show.out.print(f"\nThe proposal is in {escape(str(folder))}/. Compared with {escape(contract.name)}:")
    show_diff(diff(contract, folder.resolve()))
    shown = shlex.quote(str(folder))
    steps = [("Check it", f"pipeline contract check {shown}")]
    if sound:
        steps.append(("Accept it", f"cp {shown}/* {shlex.quote(str(contract))}/"))
    show_draft.next_steps(steps)
    if not tried.is_published:
        raise typer.Exit(1)


def _proposed(found: Sequence[SampleFile], ignored: Sequence[str], folder: Path, rules: Rules) -> tuple[Update, Sample]:
    """Return the update for the newest version that records in the files name, and the sample of those records."""
    contract, settings = load_contract(folder.name, folder.parent), settings_of(rules)
    numbers = set[int]()

    def is_of_newest(record: Any) -> bool:
        named = named_version(record, contract)
        if named > contract.current.number:
            numbers.add(named)
        return named >= contract.current.number

    sample = read_sample(found, ignored, settings, lambda _n_bytes: None, contract.input, is_of_newest)
    return propose(folder, sample.root, max(numbers, default=contract.current.number)), sample


def _check_sound(folder: Path) -> None:
    """Raise CliError if the draft is not a sound contract, which would be a fault of this command."""
    if faults := check(folder):
        first = faults[0]
        raise CliError(
            f"The draft has a fault: {first.file.name}:{first.line}: {first.says}.",
            "Report it with the field names of your sample. Until it is corrected, write the contract by hand.",
        )


def _first(files: Sequence[str]) -> str:
    """Return the first file, quoted for a shell."""
    return "FILE" if files[0] == STDIN or not Path(files[0]).is_file() else shlex.quote(files[0])


def _dataset_of(files: Sequence[str]) -> str:
    """Return the name of a dataset for files: that of the first file, or of the folder that it is in."""
    first = Path(files[0])
    if files[0] == STDIN:
        return "sample"
    base = without_suffix(first.name)[0] if first.is_file() else first.name
    stem = base.split(".")[0] if first.is_file() else base
    name = snake(stem)[:_MOST_NAME].strip("_")
    if not DATASET_NAME.fullmatch(name) or name == UNKNOWN_DATASET:
        name = f"data_{name}"[:_MOST_NAME].strip("_")
    return name if DATASET_NAME.fullmatch(name) else "sample"


def _check_dataset(dataset: str) -> None:
    if not DATASET_NAME.fullmatch(dataset) or dataset == UNKNOWN_DATASET:
        raise UsageError(f"{dataset} can't be the name of a dataset.", "Use a-z, 0-9 and _, and at most 30 characters.")


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already.", "Name a new folder with --out, or remove that one.")


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    """Yield a new folder that is moved to `folder` when the body ends. After an error there is no `folder`."""
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=_existing_parent(folder)) as temporary:
        unfinished = Path(temporary) / folder.name
        unfinished.mkdir()
        yield unfinished
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in folder.absolute().parents if parent.is_dir())


def _draft_and_try(
    found: Sequence[SampleFile], ignored: Sequence[str], dataset: str, folder: Path
) -> tuple[Draft, Trial]:
    rules = rules_here()
    total = sum(file.path.stat().st_size for file in found)
    with _progress("reading the sample", total) as advance:
        sample = read_sample(found, ignored, settings_of(rules), advance)
    for name in sample.sidecars:
        show.step(f"left out {name}, whose content differs from all other files")
    show.step(f"read {show.many(sample.records, 'record')} in {show.many(len(sample.files), 'file')}")
    done: dict[Path, int] = {}
    with _progress("creating the tables", total) as advance:

        def on_file(file: SampleFile, at: int) -> None:
            before = done.get(file.path, 0)
            if at > before:  # parts are read twice
                done[file.path] = at
                advance(at - before)

        return draft_and_try(sample, dataset, rules, folder, on_file)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("[dim]·[/dim] {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=show.err, transient=True, disable=not show.err.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n_bytes: progress.advance(task, n_bytes)


def _contracts_option(folder: Path) -> str:
    parent = folder.resolve().parent
    return "" if parent == contracts_folder().resolve() else f" --contracts {shlex.quote(str(folder.parent))}"


def _show_next(files: Sequence[str], drafted: Draft, tried: Trial, folder: Path) -> None:
    dataset = drafted.dataset
    contract = folder / CONTRACTS / dataset
    target = contracts_folder() / dataset
    steps = [("Read the decisions", f"less {shlex.quote(str(contract / 'DRAFT.md'))}")]
    if target.exists():
        steps.append(
            ("Try it as another dataset, since this name is taken", _again(files, f"{dataset}_2"[:_MOST_NAME]))
        )
    else:
        steps.append(("Keep the contract", f"cp -r {_shown(contract)} {_shown(target)}"))
        if tried.is_published and files[0] != STDIN:
            first = Path(files[0]).resolve()
            given = _shown(first) if Path.cwd() == ROOT else shlex.quote(str(first))
            steps.append(("Run the whole pipeline on this machine", f"make demo DATASET={dataset} INPUT={given}"))
            steps.append(("Deploy it to AWS", "make deploy-infra"))
    show_draft.next_steps(steps)


def _shown(path: Path) -> str:
    """Return a path for a shell, relative to the current folder if it is in there."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _again(files: Sequence[str], dataset: str) -> str:
    return f"pipeline try {' '.join(map(shlex.quote, files))} --dataset {dataset}"


COMMANDS: Mapping[str, Callable[..., None]] = {"try": try_command}
