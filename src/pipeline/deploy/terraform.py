"""Finds, initialises, runs and stops Terraform."""

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
from pathlib import Path

from pipeline import ROOT
from pipeline.deploy.locks import one_at_a_time
from pipeline.errors import CliError

INFRA = ROOT / "infra"
BOOTSTRAP = INFRA / "bootstrap"
_REGISTRY = "registry.terraform.io"
_PROVIDER = f"{_REGISTRY}/hashicorp/aws"
_MIRROR_ROOTS = (Path.home(), Path("/opt"), Path("/usr/local/share"), Path("/srv"))
"""The folders in which to look for a provider mirror, one or two levels down."""
_STOP_SECONDS = 300
"""How long an interrupted Terraform may take to finish, in seconds."""

Lines = Generator[str, None, None]


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path = INFRA,
    may_fail: bool = False,
    question: str = "",
) -> Lines:
    """Run Terraform in `folder`, with `question` as its stdin, and yield its output line by line.

    Raises CliError with Terraform's own error, unless `may_fail` is set. An interrupt, or closing the generator, stops
    Terraform after it has written its state.
    """
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as stdin:
        stdin.write(question)
        stdin.seek(0)
        process = subprocess.Popen(
            [executable(), f"-chdir={folder}", *arguments],
            env=dict(environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # otherwise, Ctrl-C reaches Terraform twice, and it exits without writing its state
        )
        assert process.stdout is not None
        with process.stdout as lines:
            try:
                yield from iter(
                    lines.readline, ""
                )  # `from lines` would close the pipe first, and Terraform fails if it can't write
                process.wait()
            finally:
                if process.poll() is None:
                    _stop(process)
        if process.returncode and not may_fail:
            errors.seek(0)
            raise CliError(
                f"terraform {arguments[0]} failed:\n{_errors_of(errors.read())}",
                "Fix the error above, then run the command again.",
            )


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt Terraform once and wait until it has written its state. Kill it after a timeout."""
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # the terminal may be gone
        print("stopping Terraform; it writes its state first", file=sys.stderr, flush=True)
    deadline = time.monotonic() + _STOP_SECONDS
    while process.poll() is None:
        try:
            process.communicate(timeout=max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        except KeyboardInterrupt:  # a second interrupt changes nothing
            continue


def _errors_of(output: str) -> str:
    """Return Terraform's errors without its warnings, such as a missing CLI configuration file."""
    start = output.find("Error:")
    return output[max(start, 0) :].strip()


def executable() -> str:
    """Return the path of Terraform, which checks its own version. Raises CliError if Terraform is missing."""
    path = shutil.which("terraform")
    if path is None:
        raise CliError(
            "Terraform is not on the PATH.",
            "Install Terraform 1.10 or newer (https://developer.hashicorp.com/terraform/install), then run the command "
            "again.",
        )
    return path


def init(environment: Mapping[str, str], *arguments: str, folder: Path = INFRA) -> None:
    """Run `terraform init` in `folder` without changing the lock file. Raises CliError."""
    command = ["init", "-no-color", "-input=false", "-lockfile=readonly", *arguments]
    cache = ROOT / "build" / "terraform-plugins"
    cache.mkdir(parents=True, exist_ok=True)
    environment = {"TF_PLUGIN_CACHE_DIR": str(cache), **environment}  # one download for all workspaces
    with one_at_a_time(ROOT / "build" / "terraform-init.lock"):  # the cache doesn't support concurrent writes
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
                f"Terraform's registry can't be reached, and no provider mirror with {_PROVIDER} was found.",
                "Run the command with a network connection. Or create a mirror on another machine and copy it here: "
                "terraform -chdir=infra providers mirror ~/terraform-mirror",
            ) from refused
        _drain(run([*command, f"-plugin-dir={mirror}"], environment, folder=folder))


def check() -> None:
    """Check without credentials that all of infra/ is formatted and valid. Raises CliError."""
    environment = check_environment(INFRA)
    unformatted = "".join(run(["fmt", "-check", "-recursive", "-list=true"], environment, may_fail=True)).split()
    if unformatted:
        raise CliError(f"These files are not in Terraform's format: {', '.join(unformatted)}.", "Run make fmt.")
    for folder in (INFRA, BOOTSTRAP):
        environment = check_environment(folder)
        init(environment, "-backend=false", folder=folder)
        _drain(run(["validate", "-no-color"], environment, folder=folder))


def check_environment(folder: Path) -> dict[str, str]:
    """Return the environment variables for checking a root module, with a data folder that no deployment uses."""
    data = ROOT / "build" / ("terraform-check" if folder == INFRA else f"terraform-check-{folder.name}")
    return {**os.environ, "TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1"}


def find_mirror() -> Path | None:
    """Return the first of the usual folders that mirrors the locked provider, or None."""
    command = [executable(), f"-chdir={INFRA}", "version", "-json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    version = found["provider_selections"][_PROVIDER]
    for root in _MIRROR_ROOTS:
        for provider in [*root.glob(f"*/{_PROVIDER}"), *root.glob(f"*/*/{_PROVIDER}")]:
            if list(provider.glob(f"{version}/*/terraform-provider-aws*")) or list(provider.glob(f"*_{version}_*.zip")):
                return provider.parents[2]
    return None


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass
