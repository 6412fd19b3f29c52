"""A cloud for each test."""

from collections.abc import Iterator

import pytest

from tests.faults import order_files
from tests.faults.scenarios import Scenario
from tests.faults.simulated_cloud import Cloud, clouds


@pytest.fixture(scope="module")
def shared() -> Iterator[Cloud]:
    with clouds() as made:
        yield made


@pytest.fixture
def cloud(shared: Cloud) -> Cloud:
    """A cloud without any uploads."""
    shared.begin()
    return shared


@pytest.fixture(scope="module")
def scenario() -> Iterator[Scenario]:
    """A file, its published outputs, and the calls of its steps. Do not use it together with `cloud`."""
    with clouds() as cloud:
        cloud.upload(order_files.mixed())
        cloud.settle()
        yield Scenario(cloud, cloud.outputs(), list(cloud.injector.calls))
