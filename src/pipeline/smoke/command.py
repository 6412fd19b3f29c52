"""The `pipeline smoke` command."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from pipeline import console as show
from pipeline.console import as_json
from pipeline.deploy import deploy
from pipeline.deploy.targets import Target
from pipeline.errors import CliError, UsageError
from pipeline.options import AsJson, Combinations, TargetName
from pipeline.smoke import throwaway
from pipeline.smoke.check_results import CheckOutcome, Result, held

NOT_TRIED = {
    "e-mail": "the test has no subscriber. Check that your subscriptions are confirmed and that an e-mail arrives",
    "the schedule": "it takes an hour. The test invokes the reconciler instead",
    "budgets": "AWS updates cost data only a few times a day",
    "retention": "lifecycle rules take a day or longer",
    "throttling": "it takes all concurrency of the account, which other functions share",
    "an execution's timeout": "it takes six hours",
    "a lost S3 event": "no API call makes S3 lose an event",
    "the region's failure": "no API call makes a region fail",
}
"""What a smoke test can't check, and why."""

_STYLES = {
    CheckOutcome.OK: "green",
    CheckOutcome.FAILED: "bold red",
    CheckOutcome.WARNING: "yellow",
    CheckOutcome.OMITTED: "dim",
}


@Combinations(exclusive={"destroy": ("name",)})
def smoke(
    target_name: TargetName = "aws",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the run, such as smoke-1a2b3c. Default: a new name.")
    ] = "",
    destroy: Annotated[
        str,
        typer.Option(metavar="NAME", help="Only destroy what remains of the ended run NAME (smoke-…)."),
    ] = "",
    own_key: Annotated[
        bool, typer.Option("--customer-managed-key", help="Encrypt all data with a separate KMS key. This costs $1.")
    ] = False,
    json_: AsJson = False,
) -> None:
    """Create a temporary deployment, test it and destroy it.

    \b
    pipeline smoke                                              on AWS, for a few cents
    pipeline smoke --target local                               the checks that work on the local emulator
    pipeline smoke --customer-managed-key                       on AWS, with its own KMS key (make: KEY=own)
    pipeline smoke --destroy smoke-1a2b3c                       after a run that was killed

    With PIPELINE_ENV (make: ENV), the deployment has the settings of that environment. Other deployments don't change.
    The deployment is destroyed even after a failure or an interrupt. With TF_STATE_BUCKET, the leftovers of failed runs
    are destroyed first. If that fails, you get a warning. Exits with 0 only if no check fails.
    """
    if target_name == "local" and destroy:
        raise UsageError("--destroy works only on AWS: a run on the local emulator leaves nothing.")
    name = name or destroy or throwaway.new_name()
    throwaway.check_name(name)
    swept = list(_swept(name)) if target_name == "aws" and not destroy else []
    with _place(target_name, name, own_key) as place:
        place.account()
        results = [throwaway.destroy(place, dead=True)] if destroy else [*swept, *_smoke(place)]
    if json_:
        as_json.dump(
            {
                "smoke_version": 1,
                "target": target_name,
                "name": name,
                "held": held(results),
                "checks": results,
                "not_tried": NOT_TRIED,
            }
        )
    else:
        _show(name, results)
    if not held(results):
        raise typer.Exit(1)


def _place(target_name: str, name: str, own_key: bool) -> AbstractContextManager[Target]:
    if target_name == "local":
        return throwaway.on_embedded(name, own_key)
    return nullcontext(throwaway.on_aws(name, own_key))


def _swept(name: str) -> Iterator[Result]:
    """Destroy the leftovers of earlier runs, and yield a result for each run."""
    for result in throwaway.sweep(name):
        show.step(f"{result.outcome}: {result.name}: {result.detail}")
        yield result


def _smoke(place: Target) -> list[Result]:
    """Deploy, run the tests, and destroy the deployment, even after a failure or an interrupt."""
    from pipeline.smoke import run_tests  # pytest, which no other command needs

    results: list[Result] = []
    try:
        deploy.deploy(place)
        results += run_tests.run_tests(place)
    except CliError as refused:
        results.append(Result("a deployment", CheckOutcome.FAILED, str(refused)))
    finally:
        gone = throwaway.destroy(place)
        show.step(f"{gone.outcome}: {gone.name}: {gone.detail}")
        results.append(gone)
    return results


def _show(name: str, results: list[Result]) -> None:
    table = show.grid(f"Smoke test {name}")
    for column in ("check", "", "s", "found"):
        table.add_column(column, overflow="fold")
    for one in results:
        outcome = f"[{_STYLES[one.outcome]}]{one.outcome}[/]"
        seconds = "" if one.outcome is CheckOutcome.OMITTED else f"{one.seconds:.1f}"
        table.add_row(show.plain(one.name), outcome, seconds, show.plain_lines(one.detail))
    show.out.print(table)
    show.out.print("A smoke test can't check these:")
    for what, why in NOT_TRIED.items():
        show.out.print(f"  {what}: {why}")
    counts = {outcome: sum(one.outcome is outcome for one in results) for outcome in CheckOutcome}
    summary = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n or outcome is not CheckOutcome.WARNING)
    show.out.print(f"{'HELD' if held(results) else 'FAILED'} {summary}")


COMMANDS: Mapping[str, Callable[..., None]] = {"smoke": smoke}
