"""Settings of all tests: hypothesis without deadlines, and with the same examples every time in CI; who runs what."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile(
    "pipeline",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("pipeline")

os.environ.setdefault("GOGC", "400")  # Terraform and its provider take more memory, and a quarter less time


@pytest.fixture(scope="session", autouse=True)
def tmp_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A /tmp of this run's own: functions clean up there, and another run may be going on beside it."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))


TESTS = Path(__file__).parent
SHARING = ("analytics", "e2e", "infra", "load", "statemachine")
"""The folders whose tests share what is dear: an embedded AWS, or Terraform's plans."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first."""
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in SHARING)


class ByFolder(LoadScopeScheduling):
    """Gives each process of a parallel run (-n) whole folders that share something, and whole files of the others.

    xdist's own groups do nothing under pytest 9: it marks them in a name of the test that pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        folder = Path(path).relative_to(TESTS.name).parts[0]
        return folder if folder in SHARING else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    config.option.loadscopereorder = False  # keeps our order, not that of how many tests a file has
    return ByFolder(config, log)
