"""The variable contracts_dir: what Terraform reads, the zips hold, whoever says it and wherever they are deployed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline import ROOT
from pipeline.deploy import build, environments, targets, workspace
from pipeline.deploy.targets import aws_target, contracts_folder, embedded_target
from pipeline.emulator import server as embedded
from pipeline.errors import CliError, UsageError
from pipeline.run import demo

EXAMPLES = ROOT / "examples" / "contracts"


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An infra/ without settings."""
    folder = tmp_path / "infra"
    folder.mkdir()
    for module in (targets, environments):
        monkeypatch.setattr(module, "INFRA", folder)
    monkeypatch.delenv("TF_VAR_contracts_dir", raising=False)
    monkeypatch.delenv("TF_VAR_architecture", raising=False)
    return folder


def feeds_in(folder: Path, *datasets: str) -> Path:
    for dataset in datasets:
        (folder / dataset / "queries").mkdir(parents=True)
        for name in ("contract.json", "v1.schema.json", "queries/first.sql"):
            (folder / dataset / name).write_text(f"{name} of {dataset}")
    return folder


@pytest.mark.parametrize(
    ("tfvars", "variable", "expected"),
    [
        (None, None, None),
        ('# contracts_dir = "../no"\n', None, "contracts"),  # the default, beside this infra/
        ('environment = "x"\ncontracts_dir   = "../my-feeds" # ours\n', None, "my-feeds"),
        ('contracts_dir = "feeds"\n', None, "infra/feeds"),
        (None, "../others/", "others"),
        ('contracts_dir = "../my-feeds"\n', "../others", "my-feeds"),  # as Terraform has it
    ],
)
def test_it_is_said_by_the_environment_or_by_terraform_tfvars(
    infra: Path, monkeypatch: pytest.MonkeyPatch, tfvars: str | None, variable: str | None, expected: str | None
) -> None:
    if tfvars:
        (infra / "terraform.tfvars").write_text(tfvars)
    if variable:
        monkeypatch.setenv("TF_VAR_contracts_dir", variable)
    assert contracts_folder() == (infra.parent / expected if expected else ROOT / "contracts")


def test_it_may_be_absolute(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_contracts_dir", str(EXAMPLES))
    assert contracts_folder() == EXAMPLES


def test_it_rules_both_targets(infra: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_contracts_dir", str(EXAMPLES))
    aws, local = aws_target(), embedded_target(embedded.Server(1, 1, tmp_path), tmp_path)
    assert (infra / aws.workspace.variables["contracts_dir"]).resolve() == EXAMPLES
    assert local.workspace.contracts == EXAMPLES
    for place in (aws, local):
        assert place.runtime.contracts == EXAMPLES
        assert (infra / place.workspace.variables["packages_dir"]).resolve() == place.runtime.folder


def test_zips_of_other_contracts_have_a_folder_of_their_own() -> None:
    for name, runtime in (("aws", build.aws_runtime), ("local", build.local_runtime)):
        plain, other, third = runtime(), runtime(contracts=EXAMPLES), runtime(contracts=EXAMPLES / "x")
        assert plain.folder == ROOT / "build" / name
        assert len({plain.folder, other.folder, third.folder}) == 3
        assert repr(plain) == repr(other), "packages are kept by this, and are the same"


def test_the_zips_hold_the_feeds_of_the_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = feeds_in(tmp_path / "feeds", "a", "b")
    (contracts / "README.md").touch()
    (contracts / "data").mkdir()
    (contracts / "data" / "a.jsonl").touch()
    held = zipped(contracts, tmp_path, monkeypatch)
    assert {name for name in held if name.startswith("contracts/")} == {
        f"contracts/{dataset}/{name}" for dataset in "ab" for name in ("contract.json", "v1.schema.json")
    }
    assert held["contracts/b/contract.json"] == b"contract.json of b"


def test_a_linked_feed_is_a_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, contracts = feeds_in(tmp_path / "elsewhere", "a") / "a", tmp_path / "feeds"
    contracts.mkdir()
    (contracts / "a").symlink_to(elsewhere)
    assert "contracts/a/v1.schema.json" in zipped(contracts, tmp_path, monkeypatch)
    workspace.copy(tmp_path / "copy" / "infra", contracts)
    assert (tmp_path / "copy" / "contracts" / "a" / "queries" / "first.sql").is_file()


def zipped(contracts: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, bytes]:
    """What the starter's zip holds, without its packages."""
    monkeypatch.setattr(build, "ROOT", folder)
    monkeypatch.setattr(build, "_packages", lambda *_: {})
    (folder / "functions").mkdir()
    (folder / "functions" / "__init__.py").touch()
    build.build(runtime := build.local_runtime(contracts))
    with zipfile.ZipFile(runtime.folder / "starter.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_copy_of_infra_finds_them_where_the_default_says(tmp_path: Path) -> None:
    folder = tmp_path / "deployment" / "infra"
    for contracts in (feeds_in(tmp_path / "one", "a", "b"), feeds_in(tmp_path / "two", "b")):
        (contracts / "README.md").touch()
        workspace.copy(folder, contracts)
    assert [path.name for path in (folder.parent / "contracts").iterdir()] == ["b"], "what is gone must go there too"
    assert (folder.parent / "contracts" / "b" / "queries" / "first.sql").is_file(), "Terraform saves these in Athena"


@pytest.mark.parametrize("kind", ["no folder", "an empty folder", "a feed without contract.json"])
def test_a_folder_without_a_contract_is_said(tmp_path: Path, kind: str) -> None:
    contracts = tmp_path / "feeds"
    if kind != "no folder":
        contracts.mkdir()
    if kind == "a feed without contract.json":
        (contracts / "a").mkdir()
    with pytest.raises(UsageError) as caught:
        build.build(build.local_runtime(contracts))
    where = f"{contracts}, which is not a folder." if kind == "no folder" else f"{contracts}."
    assert str(caught.value) == f"There is no contract in {where}"
    assert "TF_VAR_contracts_dir" in caught.value.next_step


def test_what_is_deployed_can_be_destroyed_without_them(tmp_path: Path) -> None:
    workspace.copy(tmp_path / "infra", tmp_path / "gone")
    assert (tmp_path / "infra" / "catalog.tf").is_file()


def test_a_demo_of_a_feed_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path, infra: Path) -> None:
    file = tmp_path / "visits.jsonl"
    file.touch()
    with pytest.raises(CliError, match=r"There is no contract for web_visits in .*; there are contracts for: orders\."):
        demo.demo(file, "web_visits", tmp_path / "out")
