"""The `pipeline estimate` command, which prints the estimated cost line by line."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Annotated

import typer

from functions.common.pricing.costs import CostLine, text, total
from functions.common.pricing.prices import regions
from pipeline import console as show
from pipeline.console import many
from pipeline.cost.estimate import BYTES_AN_ORDER, Estimate, Question, a_month, total_for_1000
from pipeline.cost.estimate import estimate as estimated
from pipeline.deploy.build import ARCHITECTURES
from pipeline.errors import UsageError

_LEAST = 1


def estimate(
    orders: Annotated[int, typer.Option(min=_LEAST, help="The total number of orders in all files.")],
    files: Annotated[int, typer.Option(min=_LEAST, help="The number of JSON Lines files, of equal size.")] = 1,
    bytes_per_order: Annotated[
        int, typer.Option(min=_LEAST, help="The bytes per order, with its line break. Default: as generated.")
    ] = BYTES_AN_ORDER,
    region: Annotated[str, typer.Option(help="The AWS region.")] = "eu-central-1",
    architecture: Annotated[str, typer.Option(metavar="arm64|x86_64", help="The functions' processor.")] = "arm64",
) -> None:
    """Estimate what it costs to process orders once and every day.

    Nothing needs to be deployed.

    Example: pipeline estimate --orders 200000 --files 10
    """
    if region not in regions():
        raise UsageError(f"The prices of {region} are not known.", f"Choose one of {', '.join(regions())}.")
    if architecture not in ARCHITECTURES:
        raise UsageError(
            f"--architecture must be one of {', '.join(ARCHITECTURES)}, not {architecture}.", "arm64 costs 20% less."
        )
    question = Question(orders, files, bytes_per_order, region, architecture)
    found = estimated(question)
    _print(question, found)
    once, month = total(found.runs), total([*a_month(found.runs), *found.monthly])
    show.out.print(
        f"ESTIMATE orders={orders} files={files} region={region} architecture={architecture} usd={text(once)} "
        f"usd_for_1000_orders={text(total_for_1000(once, orders))} usd_a_month={text(month)} "
        f"usd_a_month_kept={text(found.kept.usd)}"
    )


def _print(question: Question, found: Estimate) -> None:
    size = f"{question.file_bytes / 1e6:,.1f} MB, {many(found.chunks, 'chunk')}"
    each = size if question.files == 1 else f"each {size}"
    files = f"{question.files:,} {'file' if question.files == 1 else 'files'}"
    title = f"{question.orders:,} orders in {files} ({each}), {question.region}, {question.architecture}"
    grid = show.grid(title)
    for name in ("what", "quantity", "of", "price", "once, USD", "daily, USD a month"):
        grid.add_column(name, no_wrap=True, justify="left" if name in ("what", "of") else "right")
    for line, month_line in zip(found.runs, a_month(found.runs), strict=True):
        grid.add_row(*_cells(line), _money(line.usd), _money(month_line.usd))
    grid.add_row("all runs", "", "", "", *(f"[bold]{_money(total(t))}[/]" for t in (found.runs, a_month(found.runs))))
    grid.add_section()
    for line in found.monthly:
        grid.add_row(*_cells(line), "", _money(line.usd))
    month: Iterable[CostLine] = [*a_month(found.runs), *found.monthly]
    grid.add_row("all", "", "", "", "", f"[bold]{_money(total(month))}[/]")
    show.out.print(grid)
    show.out.print(
        f"In addition, storing {found.kept_bytes / 1e6:,.1f} MB of sources and tables costs "
        f"{_money(found.kept.usd)} USD per month, until retention_days deletes them."
    )
    show.out.print(
        f"List prices of {found.dated}, without free tiers, discounts and tax, for the default sizes of the functions. "
        "docs/reference/cost.md lists the assumptions. The run record has the actual cost of a run.\n"
    )


def _cells(line: CostLine) -> tuple[str, str, str, str]:
    return line.item, f"{line.quantity:,.6f}".rstrip("0").rstrip("."), line.price_of, text(line.price)


def _money(usd: Decimal) -> str:
    return f"{usd:,.6f}"


COMMANDS: Mapping[str, Callable[..., None]] = {"estimate": estimate}
