"""GitHub's workflows and the commands that they call; `make check` runs jactionlint and zizmor."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import ROOT, cli
from pipeline.deploy import build, environments
from pipeline.deploy.plan import TerraformPlan
from pipeline.smoke import throwaway

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
TEXT = "".join(path.read_text() for path in sorted(FOLDER.glob("*.yml")))


def steps() -> list[dict[str, Any]]:
    jobs = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]
    return [step for job in jobs for step in job.get("steps", [])]


def scripts() -> str:
    return "\n".join(step["run"] for step in steps() if "run" in step)


def test_the_workflows_call_existing_commands() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = {command.name for command in cli.app.registered_commands}
    called = set(re.findall(r"\bmake ([a-z-]+)", scripts()))
    assert called
    assert called <= targets
    assert set(re.findall(r"bin/pipeline ([a-z-]+)", scripts())) <= commands
    assert (ROOT / ".ci" / "run").is_file()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_jobs_grant_permissions(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        assert "permissions" in job


def test_jobs_with_write_permission_run_no_code_of_the_change() -> None:
    """Otherwise a pull request, or a new package, could steal the token."""
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
    """Otherwise they have no bytecode, and differ from those of the last deploy."""
    assert {version.rpartition(".")[0] for version in python_versions()} == {build.aws_runtime("arm64").python}


def test_every_workflow_has_the_same_release_of_python() -> None:
    """The zips, and so the plan's digest, contain bytecode, which differs by release of Python."""
    [version] = python_versions()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{version} may be another release on the next runner"


def python_versions() -> set[str]:
    return {step["with"]["python-version"] for step in steps() if "setup-python" in step.get("uses", "")}


def test_all_workflows_use_the_same_recent_terraform() -> None:
    [version] = {step["with"]["terraform_version"] for step in steps() if "setup-terraform" in step.get("uses", "")}
    assert tuple(map(int, version.split(".")[:2])) >= (1, 10)


@pytest.mark.parametrize(("workflow", "job"), [("deploy.yml", "plan"), ("drift.yml", "look")])
def test_every_environment_is_planned(workflow: str, job: str) -> None:
    planned = WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]["environment"]
    assert sorted(planned) == environments.names(), "Name each file of infra/environments/ in the matrix, once."


def test_every_environment_is_deployed_by_a_job_of_its_name() -> None:
    jobs = {name for name in WORKFLOWS["deploy.yml"]["jobs"] if called("deploy.yml", name) == "apply.yml"}
    assert jobs == set(environments.names()), (
        "A file of infra/environments/ has no job: docs/guides/deploy-as-a-team.md"
    )
    assert all(WORKFLOWS["deploy.yml"]["jobs"][name]["with"] == {"environment": name} for name in jobs)


@pytest.mark.parametrize(("workflow", "of"), [("plan.yml", "inputs"), ("apply.yml", "inputs"), ("drift.yml", "matrix")])
def test_an_environment_can_have_its_own_account(workflow: str, of: str) -> None:
    text, page = (FOLDER / workflow).read_text(), (ROOT / "docs" / "guides" / "deploy-as-a-team.md").read_text()
    for name in ("TF_STATE_BUCKET", *([] if workflow == "apply.yml" else ["AWS_PLAN_ROLE"])):
        own = f"vars[format('{name}_{{0}}', {of}.environment)] || vars.{name}"
        assert re.findall(rf"\$\{{\{{ (.*vars\.{name}) \}}\}}", text) == [own]
        assert f"`{name}_PROD`" in page


# --- what comes after what ---


def called(workflow: str, job: str) -> str:
    """The workflow that a job calls."""
    return Path(str(WORKFLOWS[workflow]["jobs"][job].get("uses", ""))).name


def before(job: str) -> set[str]:
    """The jobs of deploy.yml that must succeed before a job starts."""
    needed = WORKFLOWS["deploy.yml"]["jobs"][job].get("needs", [])
    direct = {needed} if isinstance(needed, str) else set(needed)
    return direct.union(*map(before, direct))


@pytest.mark.parametrize("job", environments.names())
def test_deploys_wait_for_the_tests(job: str) -> None:
    first = {"ci", "dev", "smoke"} if job == "prod" else {"ci"}
    assert first <= before(job)
    for one in {job, *before(job)} - {"ci"}:
        needed = WORKFLOWS["deploy.yml"]["jobs"][one]["needs"]
        condition = WORKFLOWS["deploy.yml"]["jobs"][one]["if"].removeprefix("${{ ")
        assert condition.startswith(f"!cancelled() && needs.{needed}.result == 'success'"), f"{one} would not wait"
        assert "||" not in condition


def test_a_variable_excludes_prod_from_deploys() -> None:
    gated = [name for name, job in WORKFLOWS["deploy.yml"]["jobs"].items() if "vars.DEPLOY_PROD" in job.get("if", "")]
    assert set(gated) >= {"prod"} & set(environments.names())
    assert "`DEPLOY_PROD`" in (ROOT / "docs" / "guides" / "deploy-as-a-team.md").read_text()


def test_main_is_tested_once() -> None:
    assert called("deploy.yml", "ci") == "ci.yml"
    started_by = set(WORKFLOWS["ci.yml"][True])  # YAML's on: is true
    assert started_by == {"pull_request", "merge_group", "workflow_call", "workflow_dispatch"}
    assert "github.ref == 'refs/heads/main'" in WORKFLOWS["deploy.yml"]["jobs"]["dev"]["if"]


def test_an_environment_is_planned_and_applied_without_another_deploy_in_between() -> None:
    """Otherwise a plan could be out of date when it is approved."""
    queues = {name: WORKFLOWS["deploy.yml"]["jobs"][name]["concurrency"] for name in environments.names()}
    assert {queue["cancel-in-progress"] for queue in queues.values()} == {False}
    groups = {queue["group"] for queue in queues.values()}
    assert len(groups) == len(queues)
    # not wholly: a queue that GitHub leaves stuck gets another name
    assert [name for name in queues if not queues[name]["group"].startswith(f"deploy-{name}")] == []
    assert called("apply.yml", "plan") == "plan.yml"
    assert WORKFLOWS["apply.yml"]["jobs"]["apply"]["needs"] == "plan"
    assert "concurrency" not in WORKFLOWS["apply.yml"]
    assert "github.run_id" in WORKFLOWS["deploy.yml"]["concurrency"]["group"], "one run must not wait for another"


def test_a_smoke_test_is_always_cleaned_up_by_its_name() -> None:
    jobs = WORKFLOWS["smoke.yml"]["jobs"]
    commands = [job["steps"][-1]["run"] for job in (jobs["smoke"], jobs["clean"])]
    name = '"smoke-$(printf %06x $((GITHUB_RUN_ID % 0x1000000)))"'
    assert commands == [f"exec .venv/bin/pipeline smoke --name {name}", f".venv/bin/pipeline smoke --destroy {name}"]
    assert "always()" in jobs["clean"]["if"]
    assert {job["environment"] for job in (jobs["smoke"], jobs["clean"])} == {"smoke"}
    for run in ("7", "16777215", "19876543210"):
        named = subprocess.run(["bash", "-c", f"GITHUB_RUN_ID={run}; echo {name}"], capture_output=True, text=True)
        throwaway.check_name(named.stdout.strip())


@pytest.mark.parametrize("workflow", ["ci.yml", "smoke.yml"])
def test_a_manual_run_has_its_own_queue(workflow: str) -> None:
    """GitHub keeps only the newest waiting run of a queue, including manual runs."""
    assert "${{ github.workflow }}" in WORKFLOWS[workflow]["concurrency"]["group"]


def test_artifacts_can_be_overwritten() -> None:
    """Otherwise repeating the jobs fails, which is necessary after a stale plan."""
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
  *pulls/*/files*) cat files ;;
  *commits/main*) echo newest ;;
  "run cancel"*) [ ! -e "locked-$3" ] ;;
  *pending_deployments*) cat "pending-$(sed 's|.*runs/\\([0-9]*\\)/.*|\\1|' <<< "$*")" ;;
  *--paginate*) cat comments ;;
esac
"""


def run_script(
    folder: Path, workflow: str, job: str, step_name: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a step of a job, by default the last, with a fake GitHub command line."""
    steps_of = WORKFLOWS[workflow]["jobs"][job]["steps"]
    step = next((one for one in steps_of if one.get("name") == step_name), steps_of[-1])
    gh = folder / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    (folder / "script.sh").write_text(step["run"])  # a file, as GitHub does it
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "script.sh"]
    known = {"PATH": f"{folder}:/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


def asked_for(folder: Path) -> list[str]:
    return (folder / "gh.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("comments", "status", "last"),
    [
        ("", 0, "--method POST repos/o/r/issues/7/comments"),
        ("11\n12\n", 0, "--method PATCH repos/o/r/issues/comments/11"),
        (None, 1, "issues/7/comments"),
    ],
)
def test_a_plan_is_one_comment_even_after_an_error_of_github(
    tmp_path: Path, comments: str | None, status: int, last: str
) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text("### Plan for dev\n")
    (tmp_path / "files").write_text("infra/storage.tf\ninfra/bootstrap/tests/plan.tftest.hcl\n")
    if comments is not None:
        (tmp_path / "comments").write_text(comments)
    done = run_script(tmp_path, "deploy.yml", "comment", REPOSITORY="o/r", NUMBER="7", COMMIT="c")
    assert done.returncode == status, done.stderr
    assert last in asked_for(tmp_path)[-1]
    assert (tmp_path / "comment.md").read_text() == "<!-- plan -->\n### Plan for dev\nCommit c.\n"


@pytest.mark.parametrize("changed", ["infra/bootstrap/permissions.yaml", "infra/bootstrap/github.tf"])
def test_a_plan_says_that_bootstrap_must_be_run_again(tmp_path: Path, changed: str) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text("### Plan for dev\n")
    (tmp_path / "files").write_text(f"README.md\n{changed}\n")
    (tmp_path / "comments").write_text("")
    done = run_script(tmp_path, "deploy.yml", "comment", REPOSITORY="o/r", NUMBER="7", COMMIT="c")
    assert done.returncode == 0, done.stderr
    _, reminder, *_ = (tmp_path / "comment.md").read_text().splitlines()
    assert reminder.startswith("**Before the merge, an administrator must run `make bootstrap` on this branch,**")


def test_the_comment_names_a_failed_plan(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text("### Plan for dev\n")
    (tmp_path / "files").touch()
    (tmp_path / "comments").touch()
    done = run_script(tmp_path, "plan.yml", "plan", "Say that there is no plan", PIPELINE_ENV="prod", RUN="https://run")
    assert done.returncode == 0, done.stderr
    run_script(tmp_path, "deploy.yml", "comment", REPOSITORY="o/r", NUMBER="7", COMMIT="c")
    assert (tmp_path / "comment.md").read_text().splitlines()[1:3] == [
        "### Plan for dev",
        "### No plan for prod: see [the run](https://run)",
    ]
    steps_of = WORKFLOWS["plan.yml"]["jobs"]["plan"]["steps"]
    assert [step.get("if") for step in steps_of[-2:]] == ["failure()", "${{ !cancelled() }}"]
    assert WORKFLOWS["deploy.yml"]["jobs"]["comment"]["if"] == "${{ !cancelled() && needs.plan.result != 'skipped' }}"


def waiting_for(folder: Path, runs: dict[str, str]) -> None:
    """The waiting runs, and the environment whose reviewers each waits for; without runs, GitHub fails."""
    (folder / "waiting").write_text("".join(f"{run}\n" for run in runs))
    for run, environment in runs.items():
        if environment:
            (folder / f"pending-{run}").write_text(f"{environment}\n")


def test_only_older_runs_that_wait_for_prod_are_cancelled(tmp_path: Path) -> None:
    waiting_for(tmp_path, {"10": "prod", "11": "smoke", "12": "prod", "13": "prod"})
    done = run_script(tmp_path, "deploy.yml", "supersede", GH_REPO="o/r", GITHUB_RUN_ID="12")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [line for line in asked_for(tmp_path) if "cancel" in line] == ["run cancel 10"]


def test_a_run_that_can_not_be_cancelled_is_reported_and_blocks_nothing(tmp_path: Path) -> None:
    waiting_for(tmp_path, {"8": "", "9": "prod", "10": "prod", "12": "prod"})
    (tmp_path / "locked-9").touch()
    done = run_script(tmp_path, "deploy.yml", "supersede", GH_REPO="o/r", GITHUB_RUN_ID="12")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^::warning::Run (\d+) .* gh run cancel (\d+)$", done.stdout, re.MULTILINE) == [
        ("8", "8"),
        ("9", "9"),
    ]
    assert [line for line in asked_for(tmp_path) if "cancel" in line] == ["run cancel 9", "run cancel 10"]


def test_prod_is_deployed_even_if_github_lists_no_runs(tmp_path: Path) -> None:
    done = run_script(tmp_path, "deploy.yml", "supersede", GH_REPO="o/r", GITHUB_RUN_ID="12")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::warning::")


@pytest.mark.parametrize(("waits", "explained"), [({"10": "prod"}, True), ({"10": "dev"}, False), ({}, False)])
def test_drift_names_a_waiting_deploy_that_may_explain_it(
    tmp_path: Path, waits: dict[str, str], explained: bool
) -> None:
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift" / "prod.md").write_text("### Plan for prod\n")
    (tmp_path / "drift" / "prod.status").write_text("2\n")
    waiting_for(tmp_path, waits)
    done = run_script(tmp_path, "drift.yml", "report", GH_REPO="o/r", RUN="https://run", RUNS="https://runs")
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "body.md").read_text().splitlines()[0]
    explanation = "**prod may only need a deploy that waits for its reviewers:** https://runs/10"
    assert first == (explanation if explained else "### Plan for prod")
    assert asked_for(tmp_path)[-1].startswith("issue create --title AWS differs from main in prod")


@pytest.mark.parametrize("planned", [True, False])
def test_the_apply_job_finds_the_digest_or_stops(tmp_path: Path, planned: bool) -> None:
    """It also replaces the shell, so it gets GitHub's signal when the run is cancelled."""
    plan = TerraformPlan.read(
        {"resource_changes": [{"address": "a.b", "change": {"actions": ["create"], "after": {}}}]}
    )
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "dev.md").write_text(plan.markdown("dev") if planned else "")
    pipeline = tmp_path / ".venv" / "bin" / "pipeline"
    pipeline.parent.mkdir(parents=True)
    pipeline.write_text('#!/bin/sh\necho "$@" in "$PIPELINE_ENV"\nps -o args= -p $PPID\n')
    pipeline.chmod(0o755)
    done = run_script(tmp_path, "apply.yml", "apply", "Apply", PIPELINE_ENV="dev")
    if planned:
        command, parent = done.stdout.splitlines()
        assert command == f"deploy --reviewed {plan.digest} in dev"
        assert "--noprofile" not in parent, "the shell is still there"
    else:
        assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(("commit", "status"), [("newest", 0), ("older", 1)])
def test_a_repeated_run_does_not_deploy_an_old_commit(tmp_path: Path, commit: str, status: int) -> None:
    first = WORKFLOWS["apply.yml"]["jobs"]["apply"]["steps"][0]
    assert first["if"] == "github.run_attempt != '1'"
    done = run_script(tmp_path, "apply.yml", "apply", first["name"], GH_REPO="o/r", GITHUB_SHA=commit)
    assert done.returncode == status, done.stderr
    assert ("::error::main has a newer commit" in done.stderr) == (status != 0)


def test_a_failed_apply_explains_how_to_continue(tmp_path: Path) -> None:
    last = WORKFLOWS["apply.yml"]["jobs"]["apply"]["steps"][-1]
    assert last["if"] == "failure() || cancelled()"
    printed = run_script(tmp_path, "apply.yml", "apply").stdout
    assert re.match(r"::error title=.*::Run the workflow Deploy on main, .*gh workflow run deploy\.yml", printed)
    assert len(printed.splitlines()) == 1
