"""Fixtures of the integration tests."""

from collections.abc import Iterator

import pytest

from tests import harness


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new AWS account on moto, with both buckets and the functions' environment."""
    with harness.buckets(monkeypatch):
        yield
