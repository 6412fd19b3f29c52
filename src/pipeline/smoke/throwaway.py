"""A deployment for one run: under a name of its own, from a copy of infra/, with a state of its own."""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
"""Where each run on AWS keeps its copy of infra/, and without TF_STATE_BUCKET its state, until all is destroyed."""

_NAME = re.compile(r"smoke-[0-9a-f]{6}")
_ACCOUNT = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:([0-9]{12}):")
_NOT_TAKEN_OVER = re.compile(r"^\s*(environment|notification_email|force_destroy)\s*=.*\n?", re.MULTILINE)
_OF_OTHERS = ("TF_WORKSPACE", "TF_CLI_ARGS")
"""What in the environment is meant for the deployment in infra/."""
_FORGETTING_SECONDS = 600
"""How long AWS may go on listing by its tags what is gone."""
_PAUSE_SECONDS = 10


def new_name() -> str:
    """An environment that nobody has: at most 12 characters, as infra/variables.tf wants."""
    return f"smoke-{secrets.token_hex(3)}"


def check_name(name: str) -> None:
    """Raise UsageError for what can't be the name of a run."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name} is not the name of a run.", "Give it as smoke- and six of 0-9 and a-f: smoke-1a2b3c.")


def check_left(name: str) -> None:
    """Raise UsageError where nothing is known of a run on this machine, and no bucket could know of it."""
    left = left_here()
    if name not in left and not isinstance(aws_target().workspace.backend, S3Backend):
        raise UsageError(
            f"No run called {name} is left half done on this machine.",
            f"Name one of {', '.join(left)}." if left else "There is none; nothing has to be destroyed.",
        )


def left_here() -> list[str]:
    """The runs that were begun on this machine and not destroyed."""
    return sorted(path.name for path in HOME.glob("smoke-*")) if HOME.is_dir() else []


class _Throwaway(Target):
    """A deployment that may not be there, or not any more: its region is known all the same."""

    def _read_state(self) -> StateFile:
        known = state_store.state(self.workspace.backend, self.workspace.folder)
        return known if known and known.resources else StateFile({"region": self.workspace.variables["region"]}, [])


def on_aws(name: str, own_key: bool = False) -> Target:
    """The throw-away deployment called `name` in the account of the credentials in the environment.

    With `own_key` it has a customer-managed key, whatever the settings say.

    The settings of the environment that is chosen hold for it too, but for who is notified, and with the project's own
    contracts, since it sends orders. One that is there already keeps the settings and the region that it was made with.
    """
    base, folder = aws_target(), HOME / name / "infra"
    chosen = base.workspace.chosen
    runtime = build.aws_runtime(base.runtime.architecture)
    # another Terraform workspace would have its state elsewhere, where it would not be found again
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OF_OTHERS)}
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
        "max_reject_ratio": "0.1",  # the mixed file has fewer, the hopeless one more
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
    """Where a run has its state. Raises CliError where the credentials or the bucket are of no use."""
    backend = state_store.backend(base.workspace.backend, base.workspace.chosen.project(), name)
    if isinstance(backend, S3Backend):
        base.account()
        backend.arguments()
    return backend


def _settings(text: str, project: str) -> str:
    """The settings of an environment for a throw-away: its roles could do nothing under that environment's boundary."""
    bound = re.compile(rf'(permissions_boundary\s*=\s*"{re.escape(project)}-boundary-)[a-z0-9-]+"')
    return bound.sub(r'\1smoke"', _NOT_TAKEN_OVER.sub("", text))


@contextmanager
def on_embedded(name: str, own_key: bool = False) -> Iterator[Target]:
    """A throw-away deployment to be, on an embedded AWS that is started for it and stopped again."""
    with tempfile.TemporaryDirectory(prefix="pipeline-smoke-") as temporary:
        show.step("starting the embedded AWS")
        build.build(build.local_runtime())
        server = embedded.start(Path(temporary) / "server")
        try:
            yield embedded_target(server, Path(temporary), environment=name, customer_managed_key=str(own_key).lower())
        finally:
            show.step("stopping the embedded AWS")
            server.stop()


def sweep(own: str) -> Iterator[Result]:
    """Before a run called `own`: destroy what runs that died have left in the bucket; say what is left here alone.

    What another run has left and can't be destroyed is a warning: nothing of it is in the way of this one.
    """
    dead = list(state_store.dead(_backend(aws_target(), own), own))
    for name in dead:
        show.step(f"{name} has died and left something behind, which is destroyed first")
        gone = destroy(on_aws(name), dead=True)
        if gone.outcome is CheckOutcome.FAILED and name != own:
            whose = "That is for an administrator of the account: it may cost something until it is gone."
            detail = f"{gone.detail}\n{whose}"
            gone = replace(gone, outcome=CheckOutcome.WARNING, detail=detail)
        yield gone
    for name in left_here():
        if name not in (own, *dead):
            show.step(f"{name} is left half done, or still running. If it is over: pipeline smoke --destroy {name}")


def destroy(place: Target, dead: bool = False) -> Result:
    """Destroy what was deployed, whole or half, and see that nothing is left, neither by name nor by tag.

    If the run is `dead`, its lock on the state is taken away first.
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
        show.step(f"interrupted; {name} may still be there. {advice}")
        raise
    seconds = round(time.monotonic() - started, 1)
    if left:
        rest = [] if left[-1].endswith(command) else [advice]
        return Result(what, CheckOutcome.FAILED, "\n".join(filter(None, [*left, *rest])), seconds)
    shutil.rmtree(HOME / name, ignore_errors=True)
    found = "nothing by name or tag" + (", but for keys that wait for their deletion" if place.name == "aws" else "")
    return Result(what, CheckOutcome.OK, found, seconds)


def _destroyed(place: Target, name: str) -> list[str]:
    """What is left after all was destroyed, by name or by tag."""
    backend, folder = place.workspace.backend, place.workspace.folder
    if elsewhere := backend.differs_from(backends.remembered(folder / ".terraform")):
        raise CliError(elsewhere, f"Set {backends.VARIABLE} to where the state is, and run the same again.")
    known = state_store.state(backend, folder)
    if known is None or not known.resources:
        return _unknown(place, name)
    _check_account(place, known)
    project = place.state().tags["Project"]
    left = deploy.destroy(place)
    return left + wait_for(
        lambda: deploy.tagged(place, project, name),
        _FORGETTING_SECONDS if place.name == "aws" and not left else 0,
        _PAUSE_SECONDS,
        until=lambda tagged: not tagged,
        before_pause=lambda tagged: show.step(
            f"AWS still lists {len(tagged)} resources by their tags, such as {tagged[0]}; waiting"
        ),
    )


def _unknown(place: Target, name: str) -> list[str]:
    """What there is by name, though no state knows of it: a killed Terraform may not have written all that it made.

    In a folder of its own a run without a state has made nothing.
    """
    if not isinstance(place.workspace.backend, S3Backend):
        return []
    left = deploy.leftovers(place, f"{place.workspace.variables['project']}-{name}")
    advice = f"No state knows of these. Delete them by hand, then see that it was all: pipeline smoke --destroy {name}"
    return [*left, advice] if left else []


def _check_account(place: Target, known: StateFile) -> None:
    """Raise CliError for another account's deployment: there Terraform would find nothing, and forget it."""
    account = place.account()
    theirs = {found[1] for _, one in known.resources if (found := _ACCOUNT.match(one.get("arn") or ""))}
    if theirs and account not in theirs:
        raise CliError(
            f"It is in the account {', '.join(sorted(theirs))}, and these credentials are of {account}.",
            "Log in to that account, and run the same again.",
        )
