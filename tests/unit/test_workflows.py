"""GitHub's workflows against what they call; jactionlint and zizmor look at the rest in `make check`."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import ROOT, build, cli, environments, terraform
from pipeline.plan import Plan

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
TEXT = "".join(path.read_text() for path in sorted(FOLDER.glob("*.yml")))


def steps() -> list[dict[str, Any]]:
    jobs = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]
    return [step for job in jobs for step in job.get("steps", [])]


def scripts() -> str:
    return "\n".join(step["run"] for step in steps() if "run" in step)


def test_what_the_workflows_call_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = {command.name for command in cli.app.registered_commands}
    called = set(re.findall(r"\bmake ([a-z-]+)", scripts()))
    assert called
    assert called <= targets
    assert set(re.findall(r"bin/pipeline ([a-z-]+)", scripts())) <= commands
    assert (ROOT / ".ci" / "run").is_file()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_allowed_but_what_a_job_says(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        assert job["permissions"]


def test_who_may_write_to_the_repository_runs_nothing_of_the_change() -> None:
    """Or a pull request, or a new package, could take the token."""
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            writes = {name for name, right in job["permissions"].items() if right == "write"} - {"id-token"}
            own = [
                step["run"]
                for step in job.get("steps", [])
                if re.search(r"(?m)^\s*(make |\.venv|\.ci/)", step.get("run", ""))
            ]
            assert not (writes and own), f"{job['name']} may write {writes} and runs {own}"


def test_an_action_has_one_version() -> None:
    used = set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40}) # (v[\d.]+)$", TEXT, re.MULTILINE))
    assert len(used) == len({action for action, _, _ in used})
    assert len(re.findall(r"uses: [\w-]+/", TEXT)) == len(
        re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", TEXT, re.MULTILINE)
    )


def test_zips_are_built_by_the_python_that_runs_them() -> None:
    """Else they carry no bytecode, and are other bytes than those of the last deploy."""
    versions = {step["with"]["python-version"] for step in steps() if "setup-python" in step.get("uses", "")}
    assert versions == {build.aws_runtime("arm64").python}


def test_terraform_is_new_enough_and_the_same_everywhere() -> None:
    [version] = {step["with"]["terraform_version"] for step in steps() if "setup-terraform" in step.get("uses", "")}
    assert tuple(map(int, version.split(".")[:2])) >= terraform._MINIMUM


@pytest.mark.parametrize(("workflow", "job"), [("deploy.yml", "plan"), ("drift.yml", "look")])
def test_every_environment_is_planned(workflow: str, job: str) -> None:
    assert WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]["environment"] == environments.names()


def test_every_environment_is_deployed() -> None:
    jobs = WORKFLOWS["deploy.yml"]["jobs"]
    deployed = [job["with"]["environment"] for job in jobs.values() if str(job.get("uses", "")).endswith("apply.yml")]
    assert deployed == environments.names()


@pytest.mark.parametrize("planned", [True, False])
def test_the_apply_job_finds_the_digest_or_stops(tmp_path: Path, planned: bool) -> None:
    [script] = [step["run"] for step in WORKFLOWS["apply.yml"]["jobs"]["apply"]["steps"] if step.get("name") == "Apply"]
    plan = Plan.read({"resource_changes": [{"address": "a.b", "change": {"actions": ["create"], "after": {}}}]})
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text(plan.markdown("dev") if planned else "")
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$@"\n')
    make.chmod(0o755)
    environment = {"ENVIRONMENT": "dev", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["bash", "-eo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if planned:
        assert done.stdout.split() == ["deploy-infra", "ENV=dev", f"REVIEWED={plan.digest}"]
    else:
        assert (done.returncode, done.stdout) == (1, "")
