"""Creates and destroys the deployment of a smoke test, which has its own name, copy of infra/ and state."""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from pipeline import ROOT
from pipeline import console as show
from pipeline.deploy import backends, build, deploy, environments
from pipeline.deploy.backends import Backend, S3Backend
from pipeline.deploy.targets import Target, aws_target, embedded_target
from pipeline.deploy.terraform import INFRA
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.emulator import server as embedded
from pipeline.errors import CliError, UsageError
from pipeline.smoke import state_store
from pipeline.smoke.check_results import CheckOutcome, Result
from pipeline.waiting import wait_for

HOME = ROOT / ".smoke"
"""The folder for each run's copy of infra/ until the run is destroyed. Without TF_STATE_BUCKET, also for its state."""

_NAME = re.compile(r"smoke-[0-9a-f]{6}")
_ACCOUNT = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:([0-9]{12}):")
_NOT_TAKEN_OVER = re.compile(r"^\s*(environment|notification_email|force_destroy)\s*=.*\n?", re.MULTILINE)
_NOT_INHERITED = ("TF_WORKSPACE", "TF_CLI_ARGS")
"""Prefixes of environment variables that apply only to the deployment of infra/."""
_STILL_LISTED_SECONDS = 600
"""How long AWS may still list a deleted resource by its tags, in seconds."""
_PAUSE_SECONDS = 10


def new_name() -> str:
    """Return a new environment name. infra/variables.tf allows at most 12 characters."""
    return f"smoke-{secrets.token_hex(3)}"


def check_name(name: str) -> None:
    """Raise UsageError if `name` can't be the name of a run."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name} is not a valid run name.", "Use smoke- and six hexadecimal digits: smoke-1a2b3c.")


class _Throwaway(Target):
    """A deployment that may not exist yet, or no longer exists. Its variables give its region."""

    @cached_property
    def _state(self) -> StateFile:
        known = state_store.state(self.workspace.backend, self.workspace.folder)
        return known if known and known.resources else StateFile({"region": self.workspace.variables["region"]}, [])


def on_aws(name: str, own_key: bool = False) -> Target:
    """Return the temporary deployment `name` in the account of the environment's credentials.

    It has the settings of the chosen environment, except for the recipients of notifications. It uses the project's
    own contracts, since the tests send orders. An existing deployment keeps its settings and region. With `own_key`,
    the deployment has a customer-managed key regardless of the settings.
    """
    base, folder = aws_target(), HOME / name / "infra"
    chosen = base.workspace.chosen
    runtime = build.aws_runtime(base.runtime.architecture)
    # in another Terraform workspace, the state would be at another key, and a later run would not find it
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)}
    settings = {"terraform.tfvars": INFRA / "terraform.tfvars", "environment.auto.tfvars": chosen.file}
    backend = _backend(base, name)
    known = state_store.state(backend, folder)
    variables = {
        **base.workspace.variables,
        "packages_dir": str(runtime.folder),
        "contracts_dir": "../contracts",
        "project": chosen.project(),
        "environment": name,
        "region": (known and known.region) or chosen.setting("region", environments.DEFAULT_REGION),
        "force_destroy": "true",
        "max_reject_ratio": "0.1",  # test_files.py sends one file below this ratio and one above it
        **({"customer_managed_key": "true"} if own_key else {}),
    }
    workspace = Workspace(environment, variables, folder, backend)
    if not folder.is_dir():
        folder.mkdir(parents=True)
        for copied, path in settings.items():
            if path and path.is_file():
                (folder / copied).write_text(_settings(path.read_text(), chosen.project()))
    return _Throwaway("aws", environment, runtime, workspace)


def _backend(base: Target, name: str) -> Backend:
    """Return the backend for the state of a run. Raises CliError if the credentials or the bucket can't be used."""
    backend = state_store.backend(base.workspace.backend, base.workspace.chosen.project(), name)
    if isinstance(backend, S3Backend):
        base.account()
        backend.arguments()
    return backend


def _settings(text: str, project: str) -> str:
    """Return settings with the permissions boundary of smoke tests, since the environment's denies them everything."""
    bound = re.compile(rf'(permissions_boundary\s*=\s*"{re.escape(project)}-boundary-)[a-z0-9-]+"')
    return bound.sub(r'\1smoke"', _NOT_TAKEN_OVER.sub("", text))


@contextmanager
def on_embedded(name: str, own_key: bool = False) -> Iterator[Target]:
    """Yield a temporary deployment, not yet created, on a local emulator that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="pipeline-smoke-") as temporary:
        show.step("starting the local emulator")
        build.build(build.local_runtime())
        server = embedded.start(Path(temporary) / "server")
        try:
            yield embedded_target(server, Path(temporary), environment=name, customer_managed_key=str(own_key).lower())
        finally:
            show.step("stopping the local emulator")
            server.stop()


def sweep(own: str) -> Iterator[Result]:
    """Destroy the leftovers of failed runs in the bucket before a run called `own`, and yield a result for each.

    If the leftovers of another run can't be destroyed, its result is a warning, since they don't affect this run.
    """
    dead = list(state_store.dead(_backend(aws_target(), own), own))
    for name in dead:
        show.step(f"destroying the leftovers of the failed run {name}")
        gone = destroy(on_aws(name), dead=True)
        if gone.outcome is CheckOutcome.FAILED and name != own:
            whose = "Ask an administrator of the account to delete these resources. Until then, they may cause costs."
            detail = f"{gone.detail}\n{whose}"
            gone = replace(gone, outcome=CheckOutcome.WARNING, detail=detail)
        yield gone


def destroy(place: Target, dead: bool = False) -> Result:
    """Destroy a deployment, even an incomplete one, and check by name and tag that nothing is left.

    For a `dead` run, first release its state lock.
    """
    started, name = time.monotonic(), place.workspace.variables["environment"]
    what = f"nothing is left of {name}" if dead else "nothing is left"
    command = f"pipeline smoke --destroy {name}"
    advice = f"Destroy it: {command}" if place.name == "aws" else ""
    try:
        if dead:
            state_store.unlock(place.workspace.backend)
        left = _destroyed(place, name)
        if not left:
            state_store.forget(place.workspace.backend)
    except CliError as refused:
        left = [str(refused), refused.next_step]
    except (ClientError, BotoCoreError) as refused:
        left = [str(refused)]
    except KeyboardInterrupt:
        show.step(f"interrupted; {name} may still exist. {advice}")
        raise
    seconds = round(time.monotonic() - started, 1)
    if left:
        rest = [] if left[-1].endswith(command) else [advice]
        return Result(what, CheckOutcome.FAILED, "\n".join(filter(None, [*left, *rest])), seconds)
    shutil.rmtree(HOME / name, ignore_errors=True)
    found = "nothing by name or tag" + (", except keys that are scheduled for deletion" if place.name == "aws" else "")
    return Result(what, CheckOutcome.OK, found, seconds)


def _destroyed(place: Target, name: str) -> list[str]:
    """Destroy everything, and return the names or ARNs of remaining resources. Empty if nothing is left."""
    backend, folder = place.workspace.backend, place.workspace.folder
    if elsewhere := backends.difference(backend, folder / ".terraform"):
        raise CliError(elsewhere, f"Set {backends.VARIABLE} to that bucket, then run the command again.")
    known = state_store.state(backend, folder)
    if known is None or not known.resources:
        return _unknown(place, name)
    _check_account(place, known)
    project = place.state().tags["Project"]
    left = deploy.destroy(place)
    return left + wait_for(
        lambda: deploy.tagged(place, project, name),
        _STILL_LISTED_SECONDS if place.name == "aws" and not left else 0,
        _PAUSE_SECONDS,
        until=lambda tagged: not tagged,
        before_pause=lambda tagged: show.step(
            f"AWS still lists {len(tagged)} resources by their tags, such as {tagged[0]}; waiting"
        ),
    )


def _unknown(place: Target, name: str) -> list[str]:
    """Return the resources that a run's name identifies and that are in no state, then advice. Empty if there are none.

    A killed Terraform may not have recorded every resource. A run without a state in its own folder created nothing.
    """
    if not isinstance(place.workspace.backend, S3Backend):
        return []
    left = deploy.leftovers(place, f"{place.workspace.variables['project']}-{name}")
    advice = f"These resources are in no Terraform state. Delete them, then check: pipeline smoke --destroy {name}"
    return [*left, advice] if left else []


def _check_account(place: Target, known: StateFile) -> None:
    """Raise CliError if the deployment is in another account. Terraform would find no resource and empty the state."""
    account = place.account()
    theirs = {found[1] for _, one in known.resources if (found := _ACCOUNT.match(one.get("arn") or ""))}
    if theirs and account not in theirs:
        raise CliError(
            f"The deployment is in the account {', '.join(sorted(theirs))}, but these credentials belong to {account}.",
            "Log in to that account, then run the command again.",
        )
