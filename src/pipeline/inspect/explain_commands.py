"""The read-only commands that show what happened to a file: explain, rejects and report."""

import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipeline import console as show
from pipeline.console import as_json
from pipeline.deploy.targets import target
from pipeline.errors import CliError
from pipeline.inspect import json_documents, show_batch, show_rejects
from pipeline.inspect.batch_history import collect_history, rejects_of
from pipeline.inspect.report import write_report
from pipeline.options import AsJson, TargetName, What

ShowValues = Annotated[bool, typer.Option("--show-values", help="Show the records' values, including personal data.")]
Samples = Annotated[int, typer.Option(min=0, max=20, help="The number of rejects to show for each rule.")]


def explain(what: What, target_name: TargetName = "aws", json_: AsJson = False) -> None:
    """Explain what happened to a file, and what to do next.

    \b
    pipeline explain incoming/orders/x.jsonl      the newest version of a key
    pipeline explain orders-0123…                 a batch
    pipeline explain orders-0123…-replay-1        the batch of an execution; its ARN or console address also work
    pipeline explain 's3://…-ingest-…/incoming/orders/x.jsonl?versionId=…'
    pipeline explain orders-0123… --json | jq -r '.actions[].command'

    Exits with 0 for every outcome, and with 2 if nothing matches.
    """
    batch = collect_history(target(target_name), what, samples=0)
    if json_:
        as_json.dump(json_documents.explanation(batch))
    else:
        show_batch.history(batch)


def rejects(
    what: What,
    target_name: TargetName = "aws",
    samples: Samples = 3,
    show_values: ShowValues = False,
    json_: AsJson = False,
) -> None:
    """Show the rejects of a batch by rule and place, with samples.

    Reads the whole rejects file.

    \b
    pipeline rejects orders-0123…
    pipeline rejects incoming/orders/x.jsonl --samples 10 --show-values
    pipeline rejects orders-0123… --json | jq '.rejects.groups[] | {reason, pointer, count}'

    Values are hidden, since they may be personal data. Field names and the lengths of strings are shown.
    """
    found = rejects_of(target(target_name), what, samples, show_values=show_values)
    if json_:
        as_json.dump(json_documents.rejects(found))
    else:
        show_rejects.of_batch(found)


def report(
    what: What,
    target_name: TargetName = "aws",
    out: Annotated[
        Path | None, typer.Option(help="The file or folder to write to. Default: <batch>.html in this folder.")
    ] = None,
    show_values: ShowValues = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write everything about a batch to an HTML page.

    Prints the path of the page. The page works offline.

    \b
    pipeline report orders-0123…                          the batch's page, orders-0123….html
    pipeline report incoming/orders/x.jsonl --open        a key's newest version, opened in the browser
    pipeline report orders-0123… --out /tmp/report.html --show-values

    Values are hidden, since they may be personal data.
    """
    path = write_report(target(target_name), what, out, show_values=show_values)
    show.out.print(str(path), markup=False)
    if open_ and not webbrowser.open(path.absolute().as_uri()):
        raise CliError("The page was written, but no browser could be started.", f"Open {path} in a browser.")


COMMANDS: Mapping[str, Callable[..., None]] = {"explain": explain, "rejects": rejects, "report": report}
