"""The command `pipeline report`."""

import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipeline import console as show
from pipeline.deploy.targets import target
from pipeline.errors import CliError
from pipeline.inspect.explain_commands import ShowValues
from pipeline.inspect.report import write_report
from pipeline.options import TargetName, What


def report(
    what: What,
    target_name: TargetName = "aws",
    out: Annotated[
        Path | None, typer.Option(help="The file to write, or the folder; by default <batch>.html here.")
    ] = None,
    show_values: ShowValues = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write everything about a batch to one HTML page.

    Prints the path of the page, which needs no network.

    \b
    pipeline report orders-0123…                          the batch's page, orders-0123….html
    pipeline report incoming/orders/x.jsonl --open        a key's newest version, opened in the browser
    pipeline report orders-0123… --out /tmp/report.html --show-values

    Values are hidden, since they may be personal data.
    """
    path = write_report(target(target_name), what, out, show_values=show_values)
    show.out.print(str(path), markup=False)
    if open_ and not webbrowser.open(path.absolute().as_uri()):
        raise CliError("The page is written, but no browser could be started.", f"Open {path} yourself.")


COMMANDS: Mapping[str, Callable[..., None]] = {"report": report}
