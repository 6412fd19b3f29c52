"""The catalogue as Terraform plans it, and a database that reads a bucket by it: what Athena does, on DuckDB."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analytics.catalog import Catalog
from tests.infra.conftest import FIRST_PLAN, PLAN_FILE, Project, make_project

__all__ = ["make_project"]

CONTRACTS = Path(__file__).parent / "contracts"


@pytest.fixture(scope="session")
def catalog(make_project: Callable[[], Project]) -> Catalog:
    """What Glue and Athena get, of orders and of a second feed, whose folder is all that was added."""
    project = make_project()
    (project.infra.parent / "contracts" / "returns").symlink_to(CONTRACTS / "returns")
    run = project.test(PLAN_FILE, verbose=True)[FIRST_PLAN]
    assert run.status == "pass", run.complaints
    return Catalog(run)
