"""A fork renames the project and has other environments. No test may depend on the names used here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import ROOT

pytestmark = pytest.mark.slow

LEFT = shutil.ignore_patterns(
    *(".git", ".venv", ".terraform", ".terraform-*", ".smoke", ".local", "build", "node_modules", "__pycache__"),
    *("*.tfstate*", "*override.tf", "terraform.tfvars*", "*.auto.tfvars*", ".*_cache", ".hypothesis"),
)
"""What of a checkout is one person's own."""
READING = (
    "tests/integration/test_smoke.py",
    "tests/infra/test_deploy_roles.py::test_each_environment_has_a_deploy_role_and_plans_have_one",
    "tests/infra/test_deploy_roles.py::test_each_environment_names_the_boundary_that_bootstrap_creates",
)
"""The tests of what follows infra/environments/."""


def fork(folder: Path) -> Path:
    """A copy of this checkout with another project name and other environments."""
    shutil.copytree(ROOT, folder, ignore=LEFT)
    (folder / "build").mkdir()
    (ROOT / "build" / "terraform-plugins").mkdir(parents=True, exist_ok=True)
    for shared in ("terraform-plugins", "terraform-init.lock"):  # a provider has hundreds of megabytes
        (folder / "build" / shared).symlink_to(ROOT / "build" / shared)
    environments = folder / "infra" / "environments"
    shutil.rmtree(environments)
    environments.mkdir()
    for name in ("dev", "prod", "stage"):
        settings = f'project = "acme-orders"\npermissions_boundary = "acme-orders-boundary-{name}"\n'
        (environments / f"{name}.tfvars").write_text(settings)
    return folder


def test_the_tests_pass_in_a_fork_with_another_project_name_and_other_environments(tmp_path: Path) -> None:
    folder = fork(tmp_path / "fork")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *READING]
    paths = os.pathsep.join([str(folder), str(folder / "src")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    tried = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stdout
