"""GitHub's workflows against what they call; jactionlint and zizmor look at the rest in `make check`."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import ROOT, build, cli, environments, terraform
from pipeline.plan import Plan
from pipeline.smoke import throwaway

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
        assert "permissions" in job


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


# --- what comes after what ---


def called(workflow: str, job: str) -> str:
    """The workflow that a job calls."""
    return Path(str(WORKFLOWS[workflow]["jobs"][job].get("uses", ""))).name


def before(job: str) -> set[str]:
    """All that has to go well in deploy.yml before a job starts."""
    needed = WORKFLOWS["deploy.yml"]["jobs"][job].get("needs", [])
    direct = {needed} if isinstance(needed, str) else set(needed)
    return direct.union(*map(before, direct))


@pytest.mark.parametrize(("job", "first"), [("dev", {"ci"}), ("prod", {"ci", "dev", "smoke"})])
def test_nothing_is_deployed_before_what_tells_whether_it_is_good(job: str, first: set[str]) -> None:
    assert first <= before(job)
    for one in {job, *before(job)}:
        condition = str(WORKFLOWS["deploy.yml"]["jobs"][one].get("if", ""))
        assert not re.search(r"always\(|failure\(|cancelled\(", condition), f"{one} would not wait for what it needs"


def test_what_is_on_main_is_tested_once() -> None:
    assert called("deploy.yml", "ci") == "ci.yml"
    assert set(WORKFLOWS["ci.yml"][True]) == {
        "pull_request",
        "workflow_call",
        "workflow_dispatch",
    }  # YAML's on: is true
    assert "github.ref == 'refs/heads/main'" in WORKFLOWS["deploy.yml"]["jobs"]["dev"]["if"]


def test_an_environment_is_planned_and_applied_in_its_turn() -> None:
    """A plan that another deploy of ours could come after would be out of date when it is agreed to."""
    for name in environments.names():
        queue = WORKFLOWS["deploy.yml"]["jobs"][name]["concurrency"]
        assert queue == {"group": f"deploy-{name}", "cancel-in-progress": False}
    assert called("apply.yml", "plan") == "plan.yml"
    assert WORKFLOWS["apply.yml"]["jobs"]["apply"]["needs"] == "plan"
    assert "concurrency" not in WORKFLOWS["apply.yml"]
    assert "github.run_id" in WORKFLOWS["deploy.yml"]["concurrency"]["group"], "one run must not wait for another"


def test_a_smoke_test_is_cleaned_up_after_by_its_name_whatever_became_of_it() -> None:
    jobs = WORKFLOWS["smoke.yml"]["jobs"]
    commands = [job["steps"][-1]["run"] for job in (jobs["smoke"], jobs["clean"])]
    name = '"smoke-${GITHUB_SHA::6}"'
    assert commands == [f"exec .venv/bin/pipeline smoke --name {name}", f".venv/bin/pipeline smoke --destroy {name}"]
    assert "always()" in jobs["clean"]["if"]
    assert {job["environment"] for job in (jobs["smoke"], jobs["clean"])} == {"smoke"}
    commit = subprocess.run(
        ["bash", "-c", f"GITHUB_SHA={'0123abcdef' * 4}; echo {name}"], capture_output=True, text=True
    )
    throwaway.check_name(commit.stdout.strip())


def test_artifacts_can_be_made_again() -> None:
    """Else running the jobs again, which an apply of a stale plan asks for, fails."""
    uploads = [step["with"] for step in steps() if "upload-artifact" in step.get("uses", "")]
    assert uploads
    assert all(upload["overwrite"] is True for upload in uploads)


def test_no_log_shows_the_account() -> None:
    taken_on = [step["with"] for step in steps() if "configure-aws-credentials" in step.get("uses", "")]
    assert taken_on
    assert all(step["mask-aws-account-id"] is True for step in taken_on)


# --- the scripts, with stand-ins for what they call ---

GH = """#!/bin/bash
echo "$*" >> gh.log
case "$*" in
  *status=waiting*) cat waiting ;;
  *pending_deployments*) cat "pending-$(sed 's|.*runs/\\([0-9]*\\)/.*|\\1|' <<< "$*")" ;;
  *--paginate*) cat comments ;;
esac
"""


def run_script(folder: Path, workflow: str, job: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the last step of a job with a stand-in for GitHub's command line."""
    step = WORKFLOWS[workflow]["jobs"][job]["steps"][-1]
    gh = folder / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    known = {"PATH": f"{folder}:/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


def asked_for(folder: Path) -> list[str]:
    return (folder / "gh.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("comments", "status", "last"),
    [
        ("", 0, "--method POST repos/o/r/issues/7/comments"),
        ("11\n12\n", 0, "--method PATCH repos/o/r/issues/comments/11"),
        (None, 1, "--paginate"),
    ],
)
def test_a_plan_is_one_comment_and_a_fault_of_githubs_is_no_second_one(
    tmp_path: Path, comments: str | None, status: int, last: str
) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text("### Plan for dev\n")
    if comments is not None:
        (tmp_path / "comments").write_text(comments)
    done = run_script(tmp_path, "deploy.yml", "comment", REPOSITORY="o/r", NUMBER="7", COMMIT="c")
    assert done.returncode == status, done.stderr
    assert last in asked_for(tmp_path)[-1]
    assert (tmp_path / "comment.md").read_text() == "<!-- plan -->\n### Plan for dev\nOf commit c.\n"


def test_only_older_runs_that_wait_for_prod_are_cancelled(tmp_path: Path) -> None:
    (tmp_path / "waiting").write_text("10\n11\n12\n13\n")
    for run, environment in {"10": "prod", "11": "smoke", "13": "prod"}.items():
        (tmp_path / f"pending-{run}").write_text(f"{environment}\n")
    done = run_script(tmp_path, "deploy.yml", "supersede", GH_REPO="o/r", GITHUB_RUN_ID="12")
    assert done.returncode == 0, done.stderr
    assert [line for line in asked_for(tmp_path) if "cancel" in line] == ["run cancel 10"]


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
