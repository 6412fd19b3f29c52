"""The catalog as Terraform plans it, and a database that reads a bucket with it: Athena's behaviour, on DuckDB."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import ROOT
from tests.analytics.catalog import Catalog
from tests.infra.conftest import FIRST_PLAN, PLAN_FILE, Project, make_project, without_account
from tests.unit.web_visits import EXAMPLES

__all__ = ["make_project", "without_account"]

CONTRACTS = Path(__file__).parent / "contracts"
SHIPPED = (ROOT / "contracts" / "orders", EXAMPLES / "contracts" / "web_visits")


@pytest.fixture(scope="session")
def catalog(make_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The catalog of orders and two other datasets, whose contracts are in the folder that contracts_dir names."""
    contracts_dir = tmp_path_factory.mktemp("contracts")
    for contract in (*SHIPPED, CONTRACTS / "returns"):
        (contracts_dir / contract.name).symlink_to(contract)
    run = make_project().test(PLAN_FILE, verbose=True, contracts_dir=str(contracts_dir))[FIRST_PLAN]
    assert run.status == "pass", run.errors
    return Catalog(run)
