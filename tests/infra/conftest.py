"""Run Terraform's own tests of infra/ once, without an AWS account. The Python tests inspect the plans further."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from pipeline import ROOT
from pipeline.deploy import build, terraform, workspace

_FILES = sorted((terraform.INFRA / "tests").glob("*.tftest.hcl"))
RUNS = [
    f"{path.name}/{name}" for path in _FILES for name in re.findall(r'^run "(\w+)"', path.read_text(), re.MULTILINE)
]
"""Every run block of infra/tests/, as <file>/<run>."""

PLAN_FILE = "policies.tftest.hcl"
FIRST_PLAN = f"{PLAN_FILE}/first_plan"

KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-4333-8444-555555555555"


@dataclass
class Run:
    """The result of one run block."""

    status: str = "not run"
    errors: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    """What was planned, where the test was run with -verbose."""

    def planned(self, *types: str) -> dict[str, dict[str, Any]]:
        """The planned resources by address: all, or those of some types."""
        changes = [change for change in self.plan["resource_changes"] if not types or change["type"] in types]
        return {change["address"]: change["change"]["after"] for change in changes}


class Project:
    """A copy of infra/ and of the state machine definition, with placeholder zips. Tests may change the copy."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.infra = folder / "infra"
        self.definition = folder / "statemachine" / "pipeline.asl.json"
        workspace.copy(self.infra)
        shutil.copytree(terraform.INFRA / "tests", self.infra / "tests")
        packages = folder / "packages"
        packages.mkdir()
        for name in (*build.FUNCTIONS, *(f"layer-{layer}" for layer in build.LAYERS)):
            with ZipFile(packages / f"{name}.zip", "w") as placeholder:
                placeholder.writestr("placeholder", name)
        self._environment = {**environment, "TF_VAR_packages_dir": str(packages)}

    def set_key_arn(self) -> None:
        """Set the ARN of the key, which AWS generates. Otherwise only an apply renders policies that name it."""
        (self.infra / "key_override.tf").write_text(f'locals {{\n  key_arn = "{KEY}"\n}}\n')

    def test(self, *files: str, verbose: bool = False, **variables: str) -> dict[str, Run]:
        """The result of each run in some files of infra/tests/, by <file>/<run>. `variables` are infra's."""
        environment = {**self._environment, **{f"TF_VAR_{name}": value for name, value in variables.items()}}
        options = [*(["-verbose"] if verbose else []), *(f"-filter=tests/{file}" for file in files)]
        return run_tests(self.infra, environment, *options)


def run_tests(folder: Path, environment: dict[str, str], *options: str) -> dict[str, Run]:
    """The result of each run in the tests/ of a root module, by <file>/<run>."""
    command = [terraform.executable(), f"-chdir={folder}", "test", "-json", *options]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    runs: dict[str, Run] = {}
    outside = Run()
    for message in map(json.loads, process.stdout.splitlines()):
        name = message.get("@testrun")
        run = runs.setdefault(f"{Path(message['@testfile']).name}/{name}", Run()) if name else outside
        if message["type"] == "test_run" and message["test_run"]["progress"] == "complete":
            run.status = message["test_run"]["status"]
        elif message["type"] == "diagnostic" and message["diagnostic"]["severity"] == "error":
            run.errors.append(_sentence(message["diagnostic"]))
        elif message["type"] == "test_plan":
            run.plan = message["test_plan"]
    assert not outside.errors, "\n".join(outside.errors)
    assert runs, process.stderr
    return runs


def _sentence(diagnostic: dict[str, Any]) -> str:
    place = diagnostic.get("range")
    where = f"{place['filename']} line {place['start']['line']}: " if place else ""
    return f"{where}{diagnostic['summary']}: {diagnostic['detail']}"


@pytest.fixture(scope="session")
def without_account(worker_id: str) -> Iterator[Callable[[Path], dict[str, str]]]:
    """Initialise Terraform for a root module. Yields a function that returns an environment without an AWS account.

    All environments share one process of the provider. Each pytest worker has its own folder for the output of
    `terraform init`, because several workers may run it at once.
    """
    with ExitStack() as stack:

        @cache
        def provider(executable: Path) -> str:
            return stack.enter_context(_running(executable))

        def environment(folder: Path) -> dict[str, str]:
            made = {
                name: value
                for name, value in terraform.check_environment(folder).items()
                if not name.startswith(("AWS_", "TF_VAR_"))
            }
            data = ROOT / "build" / f"terraform-tests-{worker_id}" / folder.name
            made |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "TF_DATA_DIR": str(data)}
            terraform.init(made, "-backend=false", folder=folder)
            [executable] = data.glob("providers/*/hashicorp/aws/*/*/terraform-provider-aws*")
            return made | {"TF_REATTACH_PROVIDERS": provider(executable.resolve())}

        yield environment


@contextmanager
def _running(provider: Path) -> Iterator[str]:
    """Start a provider that keeps running. Yields the reference with which Terraform finds it.

    Otherwise Terraform starts the provider for each validation, plan and apply of each run, half of their time.
    https://developer.hashicorp.com/terraform/plugin/debugging#starting-a-provider-in-debug-mode
    """
    without_aws = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    with subprocess.Popen(
        [provider, "-debug"], env=without_aws, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            said = (re.search(r"TF_REATTACH_PROVIDERS='(.+)'", line) for line in lines)
            found = next(filter(None, said), None)
            assert found, f"{provider.name} -debug did not say how to reach it"
            yield found[1]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def make_project(
    tmp_path_factory: pytest.TempPathFactory, without_account: Callable[[Path], dict[str, str]]
) -> Callable[[], Project]:
    """Make a copy of the project in which Terraform is initialised and has no account."""
    environment = without_account(terraform.INFRA)
    return lambda: Project(tmp_path_factory.mktemp("project"), environment)


@pytest.fixture(scope="session")
def bootstrap_plan(without_account: Callable[[Path], dict[str, str]]) -> Run:
    """The plan of infra/bootstrap with all options, made by the real provider: it shows every policy in full."""
    environment = without_account(terraform.BOOTSTRAP)
    runs = run_tests(terraform.BOOTSTRAP, environment, "-verbose", "-filter=tests/plan.tftest.hcl")
    return _passed(runs["plan.tftest.hcl/with_github"])


@pytest.fixture(scope="session")
def runs(make_project: Callable[[], Project]) -> dict[str, Run]:
    """Every run of infra/tests/. Plans are only included if a test reads them, because each has megabytes."""
    project = make_project()
    mocked = [path.name for path in _FILES if path.name != PLAN_FILE]
    return project.test(PLAN_FILE, verbose=True) | project.test(*mocked)


@pytest.fixture(scope="session")
def first_plan(runs: dict[str, Run]) -> Run:
    """The plan of a first deployment, made by the real provider: it shows every policy in full."""
    return _passed(runs[FIRST_PLAN])


@pytest.fixture(scope="session")
def plan_with_key(make_project: Callable[[], Project]) -> Run:
    """The plan of a first deployment with customer_managed_key on."""
    project = make_project()
    project.set_key_arn()
    return _passed(project.test(PLAN_FILE, verbose=True, customer_managed_key="true")[FIRST_PLAN])


@pytest.fixture(params=["AWS's keys", "a customer-managed key"])
def any_plan(request: pytest.FixtureRequest) -> Run:
    """The plan without and with customer_managed_key."""
    plan: Run = request.getfixturevalue("plan_with_key" if "customer" in request.param else "first_plan")
    return plan


def _passed(run: Run) -> Run:
    assert run.status == "pass", run.errors
    return run
