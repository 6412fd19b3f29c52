"""The commands that answer what happened to a file: explain and rejects. Neither changes anything."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from pipeline.console import as_json
from pipeline.deploy.targets import target
from pipeline.inspect import json_documents, show_rejects
from pipeline.inspect import show_batch as show_story
from pipeline.inspect.batch_history import rejects_of, story_of
from pipeline.options import AsJson, TargetName, What

ShowValues = Annotated[bool, typer.Option("--show-values", help="Show the records' values, including personal data.")]
Samples = Annotated[int, typer.Option(min=0, max=20, help="How many rejects of each rule to show.")]


def explain(what: What, target_name: TargetName = "aws", json_: AsJson = False) -> None:
    """Explain what happened to a file, and what to do next.

    \b
    pipeline explain incoming/orders/x.jsonl      the newest version of a key
    pipeline explain orders-0123…                 a batch
    pipeline explain orders-0123…-replay-1        the batch of an execution; its ARN or console address do as well
    pipeline explain 's3://…-ingest-…/incoming/orders/x.jsonl?versionId=…'
    pipeline explain orders-0123… --json | jq -r '.actions[].command'

    Exits with 0 whatever became of the file, and with 2 if nothing matches.
    """
    told = story_of(target(target_name), what, samples=0)
    if json_:
        as_json.dump(json_documents.story(told))
    else:
        show_story.story(told)


def rejects(
    what: What,
    target_name: TargetName = "aws",
    samples: Samples = 3,
    show_values: ShowValues = False,
    json_: AsJson = False,
) -> None:
    """Show a batch's rejects by rule and place, with samples.

    Reads the whole file of rejects.

    \b
    pipeline rejects orders-0123…
    pipeline rejects incoming/orders/x.jsonl --samples 10 --show-values
    pipeline rejects orders-0123… --json | jq '.rejects.groups[] | {reason, pointer, count}'

    Values are hidden, since they may be personal data. Field names and the lengths of strings are shown.
    """
    place = target(target_name)
    found = rejects_of(place, what, samples, show_values=show_values)
    if json_:
        as_json.dump(json_documents.rejects(found))
    else:
        show_rejects.of_batch(found)


COMMANDS: Mapping[str, Callable[..., None]] = {"explain": explain, "rejects": rejects}
