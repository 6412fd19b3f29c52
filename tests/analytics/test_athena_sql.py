"""Athena accepts the SQL of every view and saved query, as Terraform renders it."""

from pathlib import Path

from pipeline.contract.athena import sql_faults
from tests.analytics.catalog import Catalog


def test_athena_accepts_the_sql_of_every_view_and_saved_query(catalog: Catalog) -> None:
    statements = {
        f"{dataset}/{name}.sql": sql
        for dataset in catalog.views
        for name, sql in (
            *((name, view["view"]["originalSql"]) for name, view in catalog.views[dataset].items()),
            *catalog.queries.get(dataset, {}).items(),
        )
    }
    assert len(statements) > 10
    assert [fault for name, sql in statements.items() for fault in sql_faults(Path(name), sql)] == []
