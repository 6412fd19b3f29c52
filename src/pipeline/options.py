"""Options that several commands have."""

from typing import Annotated

import typer

ORDERS = "orders"
"""The dataset that is generated where no file is named."""

TargetName = Annotated[str, typer.Option("--target", metavar="aws|local", help="An AWS account, or the embedded AWS.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; docs/cli.md says its shape.")]
What = Annotated[
    str,
    typer.Argument(
        metavar="KEY|BATCH|EXECUTION",
        help="A key of the ingest bucket, a batch, an execution (name or ARN), or the s3:// address of any file of it.",
    ),
]
