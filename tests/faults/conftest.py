"""A cloud for each test."""

from collections.abc import Iterator

import pytest

from tests.faults import files
from tests.faults.cloud import Cloud, clouds
from tests.faults.scenes import Scene


@pytest.fixture(scope="module")
def shared() -> Iterator[Cloud]:
    with clouds() as made:
        yield made


@pytest.fixture
def cloud(shared: Cloud) -> Cloud:
    """A cloud to which nothing was sent yet."""
    shared.begin()
    return shared


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A file, what is published of it, and the calls of its steps; not together with `cloud`."""
    with clouds() as cloud:
        cloud.upload(files.mixed())
        cloud.settle()
        yield Scene(cloud, cloud.outputs(), list(cloud.injector.calls))
