"""The deployment that the checks run on: the one of `make smoke`, or the one of all end-to-end tests."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.deployer import bind_analyst
from tests.e2e.notifications import subscribed
from tests.e2e.smoke.trial import Trial

HERE = Path(__file__).parent
ORDER = ("first_steps", "files", "alarms", "permissions", "states", "athena", "recovery")
"""The files in their order: slow effects are triggered first, and views are counted before recovery
publishes another file."""


@pytest.fixture(scope="session")
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The deployment under test. `make test` uses it with only the permissions of the role of `make smoke`."""
    deployment = request.config.pluginmanager.get_plugin("deployment")
    place = deployment.place if deployment else request.getfixturevalue("as_smoke_role")
    with subscribed(place) as subscriber:
        trial = Trial(place, tmp_path_factory.mktemp("smoke"), subscriber)
        if not deployment:
            bind_analyst(request.getfixturevalue("place"), trial.changed().place.outputs()["analyst_role_arn"])
        yield trial


@pytest.fixture
def found(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Records the finding of a check that passed, for the summary of `make smoke`."""
    return partial(record_property, "found")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests last and in order, because they change the deployment."""
    ranks = {HERE / f"test_{name}.py": rank for rank, name in enumerate(ORDER)}
    items.sort(key=lambda item: ranks.get(item.path, -1))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the local emulator can't do."""
    deployment = item.config.pluginmanager.get_plugin("deployment")
    mark = item.get_closest_marker("check")
    if mark and "not_local" in mark.kwargs and not (deployment and deployment.place.name == "aws"):
        pytest.skip(f"the embedded AWS {mark.kwargs['not_local']}")
