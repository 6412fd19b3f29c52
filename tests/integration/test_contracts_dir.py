"""The variable contracts_dir: Terraform and the zips use the same contracts on every target."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline import ROOT
from pipeline.deploy import build, environments, targets, workspace
from pipeline.deploy.targets import aws_target, contracts_folder, contracts_with, embedded_target
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


def datasets_in(folder: Path, *datasets: str) -> Path:
    for dataset in datasets:
        (folder / dataset / "queries").mkdir(parents=True)
        for name in ("contract.json", "v1.schema.json", "queries/first.sql"):
            (folder / dataset / name).write_text(f"{name} of {dataset}")
    return folder


@pytest.mark.parametrize(
    ("tfvars", "variable", "expected"),
    [
        (None, None, None),
        ('# contracts_dir = "../no"\n', None, "contracts"),  # the default: next to infra/
        ('environment = "x"\ncontracts_dir   = "../my-datasets" # ours\n', None, "my-datasets"),
        ('contracts_dir = "datasets"\n', None, "infra/datasets"),
        (None, "../others/", "others"),
        (
            'contracts_dir = "../my-datasets"\n',
            "../others",
            "my-datasets",
        ),  # terraform.tfvars takes precedence, as in Terraform
    ],
)
def test_contracts_dir_is_set_by_the_environment_or_by_terraform_tfvars(
    infra: Path, monkeypatch: pytest.MonkeyPatch, tfvars: str | None, variable: str | None, expected: str | None
) -> None:
    if tfvars:
        (infra / "terraform.tfvars").write_text(tfvars)
    if variable:
        monkeypatch.setenv("TF_VAR_contracts_dir", variable)
    assert contracts_folder() == (infra.parent / expected if expected else ROOT / "contracts")


def test_contracts_dir_can_be_absolute(infra: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_contracts_dir", str(EXAMPLES))
    assert contracts_folder() == EXAMPLES


def test_contracts_dir_applies_to_both_targets(infra: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_contracts_dir", str(EXAMPLES))
    aws, local = aws_target(), embedded_target(embedded.Server(1, 1, tmp_path), tmp_path)
    assert (infra / aws.workspace.variables["contracts_dir"]).resolve() == EXAMPLES
    assert local.workspace.contracts == EXAMPLES
    for place in (aws, local):
        assert place.runtime.contracts == EXAMPLES
        assert (infra / place.workspace.variables["packages_dir"]).resolve() == place.runtime.folder


def test_zips_of_other_contracts_have_their_own_folder() -> None:
    for name, runtime in (("aws", build.aws_runtime), ("local", build.local_runtime)):
        plain, other, third = runtime(), runtime(contracts=EXAMPLES), runtime(contracts=EXAMPLES / "x")
        assert plain.folder == ROOT / "build" / name
        assert len({plain.folder, other.folder, third.folder}) == 3
        assert repr(plain) == repr(other), "packages are kept by this, and are the same"


def test_the_zips_hold_only_the_datasets_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contracts = datasets_in(tmp_path / "datasets", "a", "b")
    (contracts / "README.md").touch()
    (contracts / "data").mkdir()
    (contracts / "data" / "a.jsonl").touch()
    held = zipped(contracts, tmp_path, monkeypatch)
    assert {name for name in held if name.startswith("contracts/")} == {
        f"contracts/{dataset}/{name}" for dataset in "ab" for name in ("contract.json", "v1.schema.json")
    }
    assert held["contracts/b/contract.json"] == b"contract.json of b"


def test_a_symlinked_dataset_is_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, contracts = datasets_in(tmp_path / "elsewhere", "a") / "a", tmp_path / "datasets"
    contracts.mkdir()
    (contracts / "a").symlink_to(elsewhere)
    assert "contracts/a/v1.schema.json" in zipped(contracts, tmp_path, monkeypatch)
    workspace.copy(tmp_path / "copy" / "infra", contracts)
    assert (tmp_path / "copy" / "contracts" / "a" / "queries" / "first.sql").is_file()


def zipped(contracts: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, bytes]:
    """The content of the starter's zip, without its packages."""
    monkeypatch.setattr(build, "ROOT", folder)
    monkeypatch.setattr(build, "_packages", lambda *_: {})
    (folder / "functions").mkdir()
    (folder / "functions" / "__init__.py").touch()
    build.build(runtime := build.local_runtime(contracts))
    with zipfile.ZipFile(runtime.folder / "starter.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_copy_of_infra_has_the_contracts_in_the_default_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deployment" / "infra"
    for contracts in (datasets_in(tmp_path / "one", "a", "b"), datasets_in(tmp_path / "two", "b")):
        (contracts / "README.md").touch()
        workspace.copy(folder, contracts)
    assert [path.name for path in (folder.parent / "contracts").iterdir()] == ["b"], (
        "deleted contracts must be deleted from the copy too"
    )
    assert (folder.parent / "contracts" / "b" / "queries" / "first.sql").is_file(), (
        "Terraform saves these queries in Athena"
    )


@pytest.mark.parametrize("kind", ["no folder", "an empty folder", "a dataset without contract.json"])
def test_a_folder_without_a_contract_is_reported(tmp_path: Path, kind: str) -> None:
    contracts = tmp_path / "datasets"
    if kind != "no folder":
        contracts.mkdir()
    if kind == "a dataset without contract.json":
        (contracts / "a").mkdir()
    with pytest.raises(UsageError) as caught:
        build.build(build.local_runtime(contracts))
    where = f"{contracts}, which is not a folder." if kind == "no folder" else f"{contracts}."
    assert str(caught.value) == f"There is no contract in {where}"
    assert "TF_VAR_contracts_dir" in caught.value.next_step


def test_a_deployment_can_be_destroyed_without_contracts(tmp_path: Path) -> None:
    workspace.copy(tmp_path / "infra", tmp_path / "gone")
    assert (tmp_path / "infra" / "catalog.tf").is_file()


def test_a_demo_of_an_unknown_dataset_is_refused_first(tmp_path: Path, infra: Path) -> None:
    file = tmp_path / "visits.jsonl"
    file.touch()
    with pytest.raises(CliError, match=r"contracts has no contract for visits\. It has contracts for: orders\."):
        demo.demo(file, "visits", tmp_path / "out")


def test_a_dataset_is_found_in_the_examples_if_the_contracts_lack_it(infra: Path) -> None:
    assert contracts_with("web_visits") == EXAMPLES
    assert contracts_with("orders") == contracts_with("visits") == ROOT / "contracts"


def test_own_contracts_take_precedence_over_the_examples(
    tmp_path: Path, infra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = datasets_in(tmp_path / "datasets", "web_visits")
    monkeypatch.setenv("TF_VAR_contracts_dir", str(contracts))
    assert contracts_with("web_visits") == contracts


def test_a_demo_of_a_file_that_is_ignored_is_refused_first(tmp_path: Path, infra: Path) -> None:
    file = tmp_path / "manifest-summary.json"
    file.touch()
    with pytest.raises(UsageError, match=r"its name matches the pattern manifest-\*\."):
        demo.demo(file, "dynamodb_bookings", tmp_path / "out")
