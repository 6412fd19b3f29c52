"""Terraform as a process that is interrupted only once, and a deployment's folder and state, complete or not."""

import sys
import time
from pathlib import Path

import pytest

from pipeline.deploy import terraform, workspace
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.errors import CliError

FAKE = """#!{python}
import signal, sys, time
if "version" in sys.argv:
    print('{{"terraform_version": "1.11.4"}}')
    sys.exit()
signal.signal(signal.SIGINT, {handler})
try:
    print("started", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    print("x" * 1_000_000, flush=True)  # more than a pipe holds: the reader must continue
    time.sleep(0.3)  # a second interrupt would end it here
    with open("{saved}", "w") as file:
        file.write("saved")
    sys.exit(1)
"""


def fake_terraform(folder: Path, monkeypatch: pytest.MonkeyPatch, handler: str = "signal.default_int_handler") -> Path:
    """Put a Terraform on the PATH that writes its state when interrupted; returns the path of the state file."""
    script, saved = folder / "terraform", folder / "saved"
    script.write_text(FAKE.format(python=Path(sys.executable).resolve(), saved=saved, handler=handler))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return saved


def test_terraform_is_interrupted_once_and_writes_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = fake_terraform(tmp_path, monkeypatch)
    lines = terraform.run(["apply"], {})
    assert next(lines) == "started\n"
    with pytest.raises(KeyboardInterrupt):
        lines.throw(KeyboardInterrupt())
    assert saved.read_text() == "saved"


def test_closing_the_output_stops_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = fake_terraform(tmp_path, monkeypatch)
    lines = Workspace({}, {}, tmp_path).apply()
    next(lines)
    lines.close()
    assert saved.read_text() == "saved"


def test_a_terraform_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_terraform(tmp_path, monkeypatch, handler="signal.SIG_IGN")
    monkeypatch.setattr(terraform, "_STOP_SECONDS", 0.2)
    lines = terraform.run(["apply"], {})
    next(lines)
    started = time.monotonic()
    lines.close()
    assert time.monotonic() - started < 5


def test_a_copy_has_no_settings_and_no_backend_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, folder = tmp_path / "checkout", tmp_path / "deployment" / "infra"
    (checkout / "tests").mkdir(parents=True)
    for name in ("main.tf", ".terraform.lock.hcl", "terraform.tfvars", "my.auto.tfvars", "my_override.tf", "x.tfstate"):
        (checkout / name).touch()
    for name in ("views", "queries"):
        (checkout / name).mkdir()
        (checkout / name / "new.sql").touch()
    for gone in (folder / "removed.tf", folder / "queries" / "gone.sql", folder.parent / "contracts" / "gone" / "x"):
        gone.parent.mkdir(parents=True, exist_ok=True)
        gone.touch()
    monkeypatch.setattr(workspace, "INFRA", checkout)

    workspace.copy(folder)

    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert files == {"main.tf", ".terraform.lock.hcl", "backend_override.tf", "new.sql"}
    assert 'backend "local"' in (folder / "backend_override.tf").read_text()
    assert (folder.parent / "statemachine" / "pipeline.asl.json").is_file()
    assert not (folder.parent / "contracts" / "gone").exists()


TAGS = {"Project": "shop", "Environment": "prod", "ManagedBy": "terraform"}
ROLE = ("aws_iam_role", {"tags": TAGS, "arn": "arn:aws:iam::1:role/shop-prod-write"})
UNTAGGED = ("aws_lambda_alias", {"arn": "arn:aws:lambda:eu-west-1:1:function:shop-prod-write:live"})
BUCKET = ("aws_s3_bucket", {"tags": None, "arn": "arn:aws:s3:::b", "bucket": "b"})


@pytest.mark.parametrize(
    ("state", "tags", "region", "buckets"),
    [
        (StateFile({"tags": TAGS, "region": "eu-west-1"}, [BUCKET]), TAGS, "eu-west-1", ["b"]),
        (StateFile({}, [BUCKET, UNTAGGED, ROLE]), TAGS, "eu-west-1", ["b"]),
        (StateFile({}, [ROLE]), TAGS, None, []),
    ],
)
def test_an_incomplete_state_is_enough_to_identify_the_deployment(
    state: StateFile, tags: dict[str, str], region: str | None, buckets: list[str]
) -> None:
    assert (state.tags, state.region, state.buckets) == (tags, region, buckets)


@pytest.mark.parametrize(
    "pulled",
    [
        "",
        '{"outputs": {}, "resources": []}',
        '{"outputs": {}, "resources": [{"mode": "data", "type": "aws_partition", "instances": [{"attributes": {}}]}]}',
    ],
)
def test_a_state_without_resources_means_nothing_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pulled: str
) -> None:
    (tmp_path / ".terraform").mkdir()
    monkeypatch.setattr(terraform, "run", lambda *_, **__: iter([pulled]))
    with pytest.raises(CliError, match="Nothing is deployed here"):
        Workspace({}, {}, tmp_path).state()
