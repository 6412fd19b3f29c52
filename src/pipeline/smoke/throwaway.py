"""A deployment for one run: under a name of its own, from a copy of infra/, with its state in that copy."""

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from pipeline import ROOT, build, deploy, embedded, show
from pipeline.errors import CliError, UsageError
from pipeline.smoke.model import Outcome, Result
from pipeline.targets import Target, aws_target, embedded_target
from pipeline.terraform import INFRA
from pipeline.workspace import Workspace

HOME = ROOT / ".smoke"
"""Where each run on AWS keeps its copy of infra/ with the state, until all of it is destroyed."""

_NAME = re.compile(r"smoke-[0-9a-f]{6}")
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
    """Raise UsageError for a name that no run that was left half done has."""
    left = sorted(path.name for path in HOME.glob("smoke-*")) if HOME.is_dir() else []
    if not _NAME.fullmatch(name) or name not in left:
        raise UsageError(
            f"No run called {name} is left half done on this machine.",
            f"Name one of {', '.join(left)}." if left else "There is none; nothing has to be destroyed.",
        )


def on_aws(name: str) -> Target:
    """The throw-away deployment called `name` in the account of the credentials in the environment.

    The settings of the environment that is chosen hold for it too, but for who is notified, and with the project's own
    contracts, since it sends orders. One that is there already keeps the settings that it was made with.
    """
    base, folder = aws_target(), HOME / name / "infra"
    runtime = build.aws_runtime(base.runtime.architecture)
    # another Terraform workspace would have its state elsewhere, where it would not be found again
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OF_OTHERS)}
    if not folder.is_dir():
        folder.mkdir(parents=True)
        settings = {
            "terraform.tfvars": INFRA / "terraform.tfvars",
            "environment.auto.tfvars": base.workspace.chosen.file,
        }
        for copied, path in settings.items():
            if path and path.is_file():
                (folder / copied).write_text(_NOT_TAKEN_OVER.sub("", path.read_text()))
    variables = {
        **base.workspace.variables,
        "packages_dir": str(runtime.folder),
        "contracts_dir": "../contracts",
        "environment": name,
        "force_destroy": "true",
        "max_reject_ratio": "0.1",  # the mixed file has fewer, the hopeless one more
    }
    return Target("aws", environment, runtime, Workspace(environment, variables, folder))


@contextmanager
def on_embedded() -> Iterator[Target]:
    """A throw-away deployment to be, on an embedded AWS that is started for it and stopped again."""
    with tempfile.TemporaryDirectory(prefix="pipeline-smoke-") as temporary:
        show.step("starting the embedded AWS")
        build.build(build.local_runtime())
        server = embedded.start(Path(temporary) / "server")
        try:
            yield embedded_target(server, Path(temporary), environment=new_name())
        finally:
            show.step("stopping the embedded AWS")
            server.stop()


def destroy(place: Target) -> Result:
    """Destroy what was deployed, whole or half, and see that nothing is left, neither by name nor by tag."""
    started, name = time.monotonic(), place.workspace.variables["environment"]
    advice = f"Destroy it: pipeline smoke --destroy {name}" if place.name == "aws" else ""
    try:
        left = _destroyed(place, name)
    except CliError as refused:
        left = [str(refused), refused.next_step]
    except (ClientError, BotoCoreError) as refused:
        left = [str(refused)]
    except KeyboardInterrupt:
        show.step(f"interrupted; {name} may still be there. {advice}")
        raise
    seconds = round(time.monotonic() - started, 1)
    if left:
        return Result("nothing is left", Outcome.FAILED, "\n".join(filter(None, [*left, advice])), seconds)
    shutil.rmtree(HOME / name, ignore_errors=True)
    what = "nothing by name or tag" + (", but for keys that wait for their deletion" if place.name == "aws" else "")
    return Result("nothing is left", Outcome.OK, what, seconds)


def _destroyed(place: Target, name: str) -> list[str]:
    """What is left after all was destroyed, by name or by tag."""
    if not _has_resources(place.workspace.folder / "terraform.tfstate"):
        return []
    project = place.state.tags["Project"]
    left = deploy.destroy(place)
    deadline = time.monotonic() + (_FORGETTING_SECONDS if place.name == "aws" else 0)
    while (tagged := deploy.tagged(place, project, name)) and not left and time.monotonic() < deadline:
        show.step(f"AWS still lists {len(tagged)} resources by their tags, such as {tagged[0]}; waiting")
        time.sleep(_PAUSE_SECONDS)
    return left + tagged


def _has_resources(state: Path) -> bool:
    """Whether Terraform knows of anything that it made; the throw-away's state is always a file."""
    if not state.is_file():
        return False
    return any(kind["mode"] == "managed" for kind in json.loads(state.read_text())["resources"])
