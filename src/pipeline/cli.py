"""The command line: `pipeline --help`. Each command is a few lines; the work is in the rooms beside it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from typer.exceptions import TyperException

from functions.common.errors import PipelineError
from pipeline import ROOT, demo, embedded, runs, show
from pipeline.commands import contract as contract_commands
from pipeline.commands import explain as explain_commands
from pipeline.commands import monitor as monitor_commands
from pipeline.commands import recovery as recovery_commands
from pipeline.commands import report as report_command
from pipeline.commands import smoke as smoke_command
from pipeline.commands.estimate import estimate
from pipeline.commands.options import TargetName
from pipeline.commands.validate import validate
from pipeline.deployment import bootstrap, build, deploy, terraform, variables
from pipeline.errors import CliError, UsageError
from pipeline.targets import aws_account, check_name, contracts_folder, target

app = typer.Typer(
    help="Builds, deploys, drives and explains the pipeline, on AWS and on the embedded AWS alike.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

INTERRUPTED = 130
ORDERS = "orders"
NORTHWIND = ROOT / "tests" / "data" / "northwind_orders.jsonl"
GENERATED = ROOT / "build" / "data" / "orders.jsonl"
_GENERATED_ORDERS = 1000

Dataset = Annotated[str, typer.Option(help="The folder under incoming/ that the file goes to.")]


@app.command("build")
def build_command(target_name: TargetName = "aws") -> None:
    """Build the functions' zips; the same inputs give the same bytes."""
    check_name(target_name)
    runtime = target("aws").runtime if target_name == "aws" else build.local_runtime(contracts_folder())
    for path in build.build(runtime):
        show.out.print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")


@app.command("check-infra")
def check_infra() -> None:
    """See that infra/ is formatted and valid; changes nothing."""
    terraform.check()
    variables.check()
    show.out.print("infra/ is formatted and valid.")


@app.command("local-up")
def local_up() -> None:
    """Start the embedded AWS; it stays until local-down."""
    server, started = embedded.local_up()
    show.out.print(f"The embedded AWS {'is up' if started else 'was up already'} on 127.0.0.1:{server.port}.")
    show.out.print("Next: make deploy-infra TARGET=local")


@app.command("local-down")
def local_down() -> None:
    """Stop the embedded AWS and forget all that was on it."""
    stopped = embedded.local_down()
    show.out.print("The embedded AWS is stopped." if stopped else "The embedded AWS was not running.")


@app.command("deploy")
def deploy_command(
    target_name: TargetName = "aws",
    reviewed: Annotated[str, typer.Option(metavar="DIGEST", help="Only if the plan is the one of this digest.")] = "",
) -> None:
    """Build what is out of date and apply infra/."""
    place = target(target_name)
    outputs = deploy.deploy(place, reviewed)
    show.out.print(f"Deployed {outputs['name']} to {outputs['region']}.")
    for dataset in outputs["databases"]:
        show.out.print(f"  drop files into s3://{outputs['ingest_bucket']}/incoming/{dataset}/")
    show.out.print(f"  state machine:  {outputs['state_machine_console_url']}")
    databases = ", ".join(outputs["databases"].values())
    show.out.print(f"  Athena:         workgroup {outputs['athena_workgroup']}, databases: {databases}")
    if outputs["dashboard_url"]:
        show.out.print(f"  dashboard:      {outputs['dashboard_url']}")
    for sentence in deploy.untold(place, outputs):
        show.out.print(f"[yellow]warning:[/yellow] {escape(sentence)}")
    feed = "" if ORDERS in outputs["databases"] else " INPUT=… DATASET=…"
    show.out.print(f"Next: make run-pipeline TARGET={target_name}{feed}")


@app.command("plan")
def plan_command(
    target_name: TargetName = "aws",
    markdown: Annotated[Path | None, typer.Option(help="A file that is to say it too, for a pull request.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 if something changes.")
    ] = False,
) -> None:
    """Show what a deploy would change: which resources and attributes, without their values."""
    place = target(target_name)
    planned = deploy.planned(place)
    for line in planned.lines():
        show.out.print(escape(line))
    if markdown:
        markdown.write_text(planned.markdown(place.workspace.chosen.name or place.name))
    show.out.print(f"PLAN {planned.count()} digest={planned.digest}")
    if detailed_exitcode and planned.changes:
        raise typer.Exit(2)


@app.command("bootstrap")
def bootstrap_command(
    repository: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER@ID/NAME@ID",
            help="The GitHub repository that gets roles to plan and deploy, as GitHub's tokens name it; OWNER/NAME for "
            "one that was made before July 2026 and neither renamed nor moved since.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="Where the bucket is made; by default in the region of all environments."),
    ] = None,
) -> None:
    """Make what a team needs once an account: a bucket for Terraform's state, and roles for GitHub.

    After an interrupt or a failure run it again: it goes on where it was.
    """
    outputs = bootstrap.bootstrap(aws_account(), repository, region)
    bucket = outputs["state_bucket"]
    show.out.print(f"The state of each environment is kept in {bucket} from now on, where TF_STATE_BUCKET says so:")
    show.out.print(f"  export TF_STATE_BUCKET={bucket}")
    if not outputs.get("plan_role"):
        show.out.print("Next: make deploy-infra ENV=dev; or, for GitHub, make bootstrap REPOSITORY=… with the")
        show.out.print(
            "  repository as its tokens name it, mostly owner@1234/name@5678: docs/deployment.md says how to ask"
        )
        return
    show.out.print("GitHub's workflows need these variables (gh is GitHub's command line):")
    repo = bootstrap.without_ids(outputs["repository"])  # in a clone of a fork gh means the one that it was forked from
    show.out.print(f"  gh variable set TF_STATE_BUCKET --repo {repo} --body {bucket}")
    show.out.print(f"  gh variable set AWS_PLAN_ROLE --repo {repo} --body {outputs['plan_role']}")
    for name, role in outputs["deploy_roles"].items():
        show.out.print(f"  gh variable set AWS_DEPLOY_ROLE --repo {repo} --env {name} --body {role}")
    show.out.print(f"  gh variable set AWS_SMOKE_ROLE --repo {repo} --body {outputs['smoke_role']}")
    show.out.print("Next: docs/deployment.md says how to make the environments and who must say yes to a deploy.")


@app.command("move-state")
def move_state() -> None:
    """Move Terraform's state from a file into the bucket that TF_STATE_BUCKET names."""
    moved = target("aws").workspace.move_state()
    show.out.print(f"Moved. The file is now {moved.name}; when all is well, delete it.")


@app.command("destroy")
def destroy_command(
    target_name: TargetName = "aws",
    confirm: Annotated[str, typer.Option(metavar="NAME", help="The deployment's name; without it prod is kept.")] = "",
) -> None:
    """Destroy all that infra/ made, and look for leftovers."""
    left = deploy.destroy(target(target_name), confirm)
    if left:
        raise CliError("These are still there:\n" + "\n".join(left), "Delete them by hand.")
    show.out.print("Destroyed; nothing with the deployment's name is left.")


@app.command("run")
def run_command(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="By default 1,000 generated orders.")] = None,
    target_name: TargetName = "aws",
    dataset: Dataset = ORDERS,
) -> None:
    """Upload a file, follow its execution live and tell how it ended; exit 0 only if it was published.

    Example: pipeline run tests/data/northwind_orders.jsonl --target local
    """
    check_name(target_name)
    _check_has_file(path, dataset)
    if path:
        runs.check_input(path, "pipeline run path/to/orders.jsonl, or make run-pipeline INPUT=path/to/orders.jsonl")
    place = target(target_name)
    place.outputs  # noqa: B018 (says now, and not after generating, if nothing is deployed)
    _finish(demo.run(place, path or _generate(), dataset))


@app.command("demo")
def demo_command(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="By default 830 orders of Northwind.")] = None,
    dataset: Dataset = ORDERS,
    out: Annotated[Path, typer.Option(help="Where the published tables are downloaded to.")] = Path("demo-output"),
) -> None:
    """Run a file through the whole pipeline on an embedded AWS that is started for it and stopped again."""
    _check_has_file(path, dataset)
    _finish(demo.demo(path or NORTHWIND, dataset, out))


_GROUPS = (monitor_commands, explain_commands, report_command, recovery_commands, smoke_command)
for command in (command for group in _GROUPS for command in group.COMMANDS):
    app.command(command.__name__.removesuffix("_command"))(command)
app.command("estimate")(estimate)
app.command("validate")(validate)
app.add_typer(contract_commands.app, name="contract")


def _finish(result: runs.Outcome) -> None:
    """Print the line for machines, and exit by it."""
    show.out.print(escape(result.line()))
    if not result.published:
        raise typer.Exit(1)


def _check_has_file(path: Path | None, dataset: str) -> None:
    if path is None and dataset != ORDERS:
        raise UsageError(
            f"There is no file of {dataset} to send: only orders come without.",
            "Name a file: path/to/visits.jsonl behind the command, or INPUT=path/to/visits.jsonl behind make.",
        )


def _generate() -> Path:
    show.step(f"generating {_GENERATED_ORDERS} orders")
    script = ROOT / "src" / "generate_data.py"
    command = [sys.executable, str(script), "--orders", str(_GENERATED_ORDERS), "--out", str(GENERATED)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return GENERATED


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every error becomes a sentence and an exit status (2 for a wrong argument)."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _interrupt)
    try:
        # without standalone mode typer answers an Exit's code instead of exiting
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if status == INTERRUPTED:
            show.err.print("interrupted")
        sys.exit(status or 0)
    except CliError as problem:
        show.error(problem)
        sys.exit(problem.exit_code)
    except TyperException as problem:
        show.error(UsageError(problem.format_message(), "pipeline --help shows what there is."))
        sys.exit(2)
    except OSError as problem:
        show.error(
            CliError(
                f"{problem.filename or 'The system'}: {problem.strerror or problem}.", "Mend it and run the same again."
            )
        )
        sys.exit(1)
    except PipelineError as problem:
        show.error(CliError(str(problem), problem.next_step))
        sys.exit(1)
    except (ClientError, BotoCoreError) as problem:
        show.error(CliError(str(problem), "Check the credentials, their permissions and the region."))
        sys.exit(1)
