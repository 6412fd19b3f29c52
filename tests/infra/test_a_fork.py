"""A fork calls the project otherwise and has more environments: no test may need those that are here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline import ROOT

LEFT = shutil.ignore_patterns(
    *(".git", ".venv", ".terraform", ".terraform-*", ".smoke", ".local", "build", "node_modules", "__pycache__"),
    *("*.tfstate*", "*override.tf", "terraform.tfvars*", "*.auto.tfvars*", ".*_cache", ".hypothesis"),
)
"""What of a checkout is one person's own."""
READING = (
    "tests/integration/test_smoke.py",
    "tests/infra/test_deploy_roles.py::test_there_is_a_role_for_each_environment_and_one_for_plans",
    "tests/infra/test_deploy_roles.py::test_the_environments_name_the_boundary_that_bootstrap_makes",
)
"""The tests of what follows infra/environments/."""


def fork(folder: Path) -> Path:
    """A copy of this checkout, whose project and environments are others."""
    shutil.copytree(ROOT, folder, ignore=LEFT)
    (folder / "build").mkdir()
    (ROOT / "build" / "terraform-plugins").mkdir(parents=True, exist_ok=True)
    for shared in ("terraform-plugins", "terraform-init.lock"):  # a provider is hundreds of megabytes
        (folder / "build" / shared).symlink_to(ROOT / "build" / shared)
    environments = folder / "infra" / "environments"
    shutil.rmtree(environments)
    environments.mkdir()
    for name in ("dev", "prod", "stage"):
        settings = f'project = "acme-orders"\npermissions_boundary = "acme-orders-boundary-{name}"\n'
        (environments / f"{name}.tfvars").write_text(settings)
    return folder


def test_a_renamed_project_with_another_environment_passes_the_tests_that_read_them(tmp_path: Path) -> None:
    folder = fork(tmp_path / "fork")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *READING]
    paths = os.pathsep.join([str(folder), str(folder / "src")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    tried = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stdout
