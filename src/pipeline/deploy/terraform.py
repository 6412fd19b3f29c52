"""Terraform over infra/ or a copy: found, initialised (without the registry if need be), run, stopped, asked."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import ROOT
from pipeline.deploy.locks import one_at_a_time
from pipeline.errors import CliError

INFRA = ROOT / "infra"
BOOTSTRAP = INFRA / "bootstrap"
_REGISTRY = "registry.terraform.io"
_PROVIDER = f"{_REGISTRY}/hashicorp/aws"
_MINIMUM = (1, 10)
_MIRROR_DEPTH = 5
_STOP_SECONDS = 300
"""How long Terraform may take to finish what it is doing when it is interrupted."""
_NEVER_SEARCHED = {"proc", "sys", "dev", "run", "node_modules", "__pycache__", ".git", "site-packages"}

Lines = Generator[str, None, None]


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path = INFRA,
    may_fail: bool = False,
    question: str = "",
) -> Lines:
    """Run Terraform in `folder`, where it may read a `question`, and hand on its output, line by line.

    Raises CliError with what it says of an error, unless it `may_fail`. Whoever stops reading, by an interrupt or by
    closing the generator, stops Terraform, which first writes its state.
    """
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as asked:
        asked.write(question)
        asked.seek(0)
        process = subprocess.Popen(
            [executable(), f"-chdir={folder}", *arguments],
            env=dict(environment),
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C must not reach it: told twice, it leaves without its state
        )
        assert process.stdout is not None
        with process.stdout as lines:
            try:
                yield from iter(lines.readline, "")  # `from lines` closes them first, and Terraform breaks on a write
                process.wait()
            finally:
                if process.poll() is None:
                    _stop(process)
        if process.returncode and not may_fail:
            errors.seek(0)
            raise CliError(
                f"terraform {arguments[0]} failed:\n{_errors_of(errors.read())}",
                "Mend what it says and run the same again.",
            )


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt Terraform once and wait until it has written its state; what takes too long is killed."""
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # the terminal may be gone
        print("stopping Terraform, which writes its state first", file=sys.stderr, flush=True)
    deadline = time.monotonic() + _STOP_SECONDS
    while process.poll() is None:
        try:
            process.communicate(timeout=max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        except KeyboardInterrupt:  # an impatient second one changes nothing
            continue


def _errors_of(complaint: str) -> str:
    """Terraform's errors without its warnings (a missing CLI configuration file, say)."""
    start = complaint.find("Error:")
    return complaint[max(start, 0) :].strip()


def executable() -> str:
    """The path of a Terraform that is new enough. Raises CliError that says what to install."""
    advice = (
        "Install Terraform 1.10 or newer (https://developer.hashicorp.com/terraform/install) and run the same again."
    )
    path = shutil.which("terraform")
    if path is None:
        raise CliError("Terraform is not on the PATH.", advice)
    number = _version(path)["terraform_version"]
    if tuple(map(int, number.split(".")[:2])) < _MINIMUM:
        raise CliError(f"Terraform {number} is too old.", advice)
    return path


@cache
def _version(path: str) -> dict[str, Any]:
    """Terraform's own version, and that of the provider which infra/.terraform.lock.hcl names."""
    command = [path, f"-chdir={INFRA}", "version", "-json"]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def init(environment: Mapping[str, str], *arguments: str, folder: Path = INFRA) -> None:
    """`terraform init` in `folder` that leaves the lock file alone. Raises CliError."""
    command = ["init", "-no-color", "-input=false", "-lockfile=readonly", *arguments]
    cache = ROOT / "build" / "terraform-plugins"
    cache.mkdir(parents=True, exist_ok=True)
    environment = {"TF_PLUGIN_CACHE_DIR": str(cache), **environment}  # one download for all workspaces
    with one_at_a_time(ROOT / "build" / "terraform-init.lock"):  # the cache can't stand two
        _init(command, environment, folder)


def _init(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    try:
        _drain(run(command, environment, folder=folder))
    except CliError as refused:
        if _REGISTRY not in str(refused):
            raise
        mirror = find_mirror()
        if mirror is None:
            raise CliError(
                f"Terraform's registry can't be reached, and no folder on this machine mirrors {_PROVIDER}.",
                "Run this once with a connection, or make a mirror on this machine with `terraform providers mirror`.",
            ) from refused
        _drain(run([*command, f"-plugin-dir={mirror}"], environment, folder=folder))


def check() -> None:
    """See that infra/ and what is below it is formatted and valid, without credentials. Raises CliError."""
    environment = check_environment(INFRA)
    unformatted = "".join(run(["fmt", "-check", "-recursive", "-list=true"], environment, may_fail=True)).split()
    if unformatted:
        raise CliError(f"Not in Terraform's format: {', '.join(unformatted)}.", "Run make fmt.")
    for folder in (INFRA, BOOTSTRAP):
        environment = check_environment(folder)
        init(environment, "-backend=false", folder=folder)
        _drain(run(["validate", "-no-color"], environment, folder=folder))


def check_environment(folder: Path) -> dict[str, str]:
    """The environment to check one of the root modules in, which a deploy's initialised folder has no part in."""
    data = ROOT / "build" / ("terraform-check" if folder == INFRA else f"terraform-check-{folder.name}")
    return {**os.environ, "TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1"}


def find_mirror() -> Path | None:
    """The nearest folder on this machine that holds the locked provider as a mirror does, or None."""
    version = _version(executable())["provider_selections"][_PROVIDER]
    for root in _search_roots():
        for folder in _folders(root, _MIRROR_DEPTH):
            provider = folder / _PROVIDER
            if list(provider.glob(f"{version}/*/terraform-provider-aws*")) or list(provider.glob(f"*_{version}_*.zip")):
                return folder
    return None


def _search_roots() -> list[Path]:
    return [Path.home(), Path("/")]


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """The folders under `root`, nearest first, at most `depth` levels down."""
    level = [str(root)]
    for _ in range(depth):
        below: list[str] = []
        for folder in level:
            yield Path(folder)
            try:
                with os.scandir(folder) as entries:
                    below += [
                        e.path for e in entries if e.is_dir(follow_symlinks=False) and e.name not in _NEVER_SEARCHED
                    ]
            except OSError:
                continue
        level = sorted(below)


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
