"""Settings of all tests: hypothesis without deadlines, and with the same examples every time in CI; who runs what."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "pipeline",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("pipeline")


@pytest.fixture(scope="session", autouse=True)
def tmp_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A /tmp of this run's own: functions clean up there, and another run may be going on beside it."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))


TESTS = Path(__file__).parent
SHARING = ("analytics", "e2e", "infra", "load", "statemachine")
"""The folders whose tests share what is dear: an embedded AWS, or Terraform's plans."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each process of a parallel run (-n) whole folders that share something, and whole files of the others."""
    for item in items:
        path = item.path.relative_to(TESTS)
        group = path.parts[0] if path.parts[0] in SHARING else str(path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in SHARING)  # what takes longest comes first
