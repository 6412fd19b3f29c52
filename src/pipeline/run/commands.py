"""The `pipeline run` and `pipeline demo` commands, which send a file through the pipeline."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline import ROOT
from pipeline import console as show
from pipeline.console.files import check_input
from pipeline.deploy.targets import target
from pipeline.errors import CliError, UsageError
from pipeline.options import ORDERS, TargetName
from pipeline.run import demo, runs

NORTHWIND = ROOT / "tests" / "data" / "northwind_orders.jsonl"
GENERATED = ROOT / "build" / "data" / "orders.jsonl"
_GENERATED_ORDERS = 1000

Dataset = Annotated[str, typer.Option(help="The dataset of the file: a folder under incoming/.")]


def run_command(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: 1,000 generated orders.")] = None,
    target_name: TargetName = "aws",
    dataset: Dataset = ORDERS,
) -> None:
    """Upload a file, follow its execution and print the outcome.

    Exits with 0 only if the pipeline publishes the file.

    Example: pipeline run tests/data/northwind_orders.jsonl --target local
    """
    _check_has_file(path, dataset)
    if path:
        check_input(path, "pipeline run path/to/orders.jsonl, or make run-pipeline INPUT=path/to/orders.jsonl")
    place = target(target_name)
    place.outputs()  # without a deployment, fail before orders are generated
    _finish(demo.run(place, path or _generate(), dataset))


def demo_command(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: 830 Northwind orders.")] = None,
    dataset: Dataset = ORDERS,
    out: Annotated[Path, typer.Option(help="The folder for the published tables.")] = Path("demo-output"),
) -> None:
    """Run a file through the pipeline on a temporary local emulator."""
    _check_has_file(path, dataset)
    _finish(demo.demo(path or NORTHWIND, dataset, out))


def _finish(result: runs.RunResult) -> None:
    """Print the outcome as one line for scripts. Exit with 1 if the file was not published."""
    show.out.print(escape(result.line()))
    if not result.published:
        raise typer.Exit(1)


def _check_has_file(path: Path | None, dataset: str) -> None:
    if path is None and dataset != ORDERS:
        raise UsageError(
            f"The dataset {dataset} needs a file: only orders can be generated.",
            "Give a file: path/to/visits.jsonl after the command, or INPUT=path/to/visits.jsonl after make.",
        )


def _generate() -> Path:
    show.step(f"generating {_GENERATED_ORDERS:,} orders")
    script = ROOT / "src" / "generate_data.py"
    command = [sys.executable, str(script), "--orders", str(_GENERATED_ORDERS), "--out", str(GENERATED)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise CliError("Generating orders failed for the reason above.", "Fix the problem, then run the command again.")
    return GENERATED


COMMANDS: Mapping[str, Callable[..., None]] = {"run": run_command, "demo": demo_command}
