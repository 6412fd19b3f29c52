"""The commands build, check-infra, deploy, plan, bootstrap, move-state and destroy of `pipeline`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipeline import ROOT
from pipeline import console as show
from pipeline.console import files
from pipeline.deploy import bootstrap, build, deploy, terraform, variables
from pipeline.deploy.targets import aws_account, contracts_folder, target
from pipeline.errors import CliError
from pipeline.options import ORDERS, TargetName


def build_command(target_name: TargetName = "aws") -> None:
    """Build the zips of the functions reproducibly."""
    runtime = target("aws").runtime if target_name == "aws" else build.local_runtime(contracts_folder())
    for path in build.build(runtime):
        show.out.print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")


def check_infra() -> None:
    """Check that infra/ is formatted and valid."""
    terraform.check()
    variables.check()
    show.out.print("infra/ is formatted and valid.")


def deploy_command(
    target_name: TargetName = "aws",
    reviewed: Annotated[str, typer.Option(metavar="DIGEST", help="Deploy only if the plan has this digest.")] = "",
) -> None:
    """Build outdated zips and apply infra/."""
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
    for sentence in deploy.subscription_warnings(place, outputs):
        show.out.print(f"[yellow]warning:[/yellow] {escape(sentence)}")
    options = "" if ORDERS in outputs["databases"] else " INPUT=… DATASET=…"
    show.out.print(f"Next: make run-pipeline TARGET={target_name}{options}")


def plan_command(
    target_name: TargetName = "aws",
    markdown: Annotated[Path | None, typer.Option(help="Also write the plan to a file, for a pull request.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if the plan has changes.")
    ] = False,
) -> None:
    """Show which resources and attributes a deploy would change.

    Values are not shown.
    """
    place = target(target_name)
    planned = deploy.planned(place)
    for line in planned.lines():
        show.out.print(escape(line))
    if markdown:
        files.write_text(markdown, planned.markdown(place.workspace.chosen.name or place.name))
    show.out.print(f"PLAN {planned.count()} digest={planned.digest}")
    if detailed_exitcode and planned.changes:
        raise typer.Exit(2)


def bootstrap_command(
    repository: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER@ID/NAME@ID",
            help="The GitHub repository whose workflows plan and deploy, as named in GitHub's tokens: OWNER/NAME if "
            "it was created before 15 July 2026 and not renamed or moved since.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region of a new bucket. Default: the region of all environments."),
    ] = None,
) -> None:
    """Prepare an account: create the state bucket and GitHub's roles.

    You can run this command again, even after an error or an interrupt.
    """
    outputs = bootstrap.bootstrap(aws_account(), repository, region)
    bucket = outputs["state_bucket"]
    show.out.print(f"The account has a state bucket, {bucket}. To use it:")
    show.out.print(f"  export TF_STATE_BUCKET={bucket}")
    if not outputs.get("plan_role"):
        show.out.print("Next: make deploy-infra ENV=dev. To deploy from GitHub: make bootstrap REPOSITORY=NAME")
        show.out.print("  NAME is the repository's name in GitHub's tokens, usually owner@1234/name@5678")
        show.out.print("  (see docs/guides/deploy-as-a-team.md).")
        return
    show.out.print("GitHub's workflows need these variables (gh is GitHub's command line):")
    repo = bootstrap.without_ids(outputs["repository"])  # in a clone of a fork, gh would use the original
    show.out.print(f"  gh variable set TF_STATE_BUCKET --repo {repo} --body {bucket}")
    show.out.print(f"  gh variable set AWS_PLAN_ROLE --repo {repo} --body {outputs['plan_role']}")
    for name, role in outputs["deploy_roles"].items():
        show.out.print(f"  gh variable set AWS_DEPLOY_ROLE --repo {repo} --env {name} --body {role}")
    show.out.print(f"  gh variable set AWS_SMOKE_ROLE --repo {repo} --body {outputs['smoke_role']}")
    show.out.print("Next: create the environments and their reviewers (see docs/guides/deploy-as-a-team.md).")


def move_state() -> None:
    """Move Terraform's state from a file to TF_STATE_BUCKET."""
    moved = target("aws").workspace.move_state()
    show.out.print(f"Moved the state. The file is now {moved.name}. Delete it when the next plan shows no changes.")


def destroy_command(
    target_name: TargetName = "aws",
    confirm: Annotated[str, typer.Option(metavar="NAME", help="The deployment's name, required for prod.")] = "",
) -> None:
    """Destroy the deployment, and list the resources that remain."""
    left = deploy.destroy(target(target_name), confirm)
    if left:
        raise CliError("These resources still exist:\n" + "\n".join(left), "Delete them manually.")
    show.out.print("Destroyed. No resource with the deployment's name is left.")


COMMANDS: Mapping[str, Callable[..., None]] = {
    "build": build_command,
    "check-infra": check_infra,
    "plan": plan_command,
    "deploy": deploy_command,
    "destroy": destroy_command,
    "bootstrap": bootstrap_command,
    "move-state": move_state,
}
