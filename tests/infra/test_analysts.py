"""analyst_policy is sufficient for Athena, and the smoke test would detect a missing permission.

Athena is simulated here. It refuses what the policy does not allow, for its own actions and for requests in the
analyst's name (athena/latest/ug/fine-grained-access-to-glue-resources.html, athena/latest/ug/s3-permissions.html).
"""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import documents
from tests.e2e.smoke import test_athena
from tests.infra.conftest import Run
from tests.infra.iam_decisions import Request, allows
from tests.infra.policies import ACCOUNT, HERE, NAME, PROCESSED, listed, policies, statements_of
from tests.infra.test_deploy_roles import boundary_of

WORKGROUP = f"arn:aws:athena:{HERE}:workgroup/{NAME}"
CATALOG = f"arn:aws:athena:{HERE}:datacatalog/AwsDataCatalog"
GLUE = f"arn:aws:glue:{HERE}"
DATABASE = "order_pipeline_dev_orders"
TABLES = ["orders", "orders_current", "runs_current", "rejects"]

LISTS = {"list_data_catalogs": "ListDataCatalogs", "list_engine_versions": "ListEngineVersions"}
IN_CATALOG = {
    "get_data_catalog": "GetDataCatalog",
    "list_databases": "ListDatabases",
    "get_database": "GetDatabase",
    "get_table_metadata": "GetTableMetadata",
}
IN_WORKGROUP = {"get_work_group": "GetWorkGroup"}

OF_A_QUERY = [
    ("glue:GetDatabase", f"{GLUE}:catalog"),
    ("glue:GetDatabase", f"{GLUE}:database/default"),
    ("glue:GetDatabase", f"{GLUE}:database/{DATABASE}"),
    *((f"glue:{action}", f"{GLUE}:catalog") for action in ("GetPartitions", "GetTable")),
    *((f"glue:{action}", f"{GLUE}:database/{DATABASE}") for action in ("GetPartitions", "GetTable")),
    *((f"glue:{action}", f"{GLUE}:table/{DATABASE}/orders") for action in ("GetPartitions", "GetTable")),
    ("s3:GetBucketLocation", PROCESSED),
    ("s3:GetObject", f"{PROCESSED}/tables/orders/x.parquet"),
    ("s3:GetObject", f"{PROCESSED}/queries/x.csv"),
    ("s3:PutObject", f"{PROCESSED}/queries/x.csv"),
    ("s3:ListMultipartUploadParts", f"{PROCESSED}/queries/x.csv"),
    ("s3:AbortMultipartUpload", f"{PROCESSED}/queries/x.csv"),
]
"""The calls of Athena with the credentials of the user who queries."""


class Athena:
    """Athena and Glue for a user with a policy."""

    def __init__(self, statements: list[dict[str, Any]]) -> None:
        self._statements = statements
        self.failure = ""

    def _check(self, action: str, resource: str) -> None:
        if not allows(self._statements, Request(action, resource)):
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": action}}, action)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        for operations, resource in ((LISTS, "*"), (IN_CATALOG, CATALOG), (IN_WORKGROUP, WORKGROUP)):
            if name in operations:
                return lambda **_: self._check(f"athena:{operations[name]}", resource)
        raise AttributeError(name)

    def list_work_groups(self) -> Any:
        self._check("athena:ListWorkGroups", "*")
        return {"WorkGroups": [{"Name": NAME}]}

    def list_table_metadata(self, **_: str) -> Any:
        self._check("athena:ListTableMetadata", CATALOG)
        return {"TableMetadataList": [{"Name": name} for name in TABLES]}

    def list_named_queries(self, **_: str) -> Any:
        self._check("athena:ListNamedQueries", WORKGROUP)
        return {"NamedQueryIds": ["1"]}

    def batch_get_named_query(self, **_: Any) -> Any:
        self._check("athena:BatchGetNamedQuery", WORKGROUP)
        return {"NamedQueries": [{"Name": "orders: revenue by day", "QueryString": "SELECT 1", "Database": DATABASE}]}

    def start_query_execution(self, **_: Any) -> Any:
        self._check("athena:StartQueryExecution", WORKGROUP)
        refused = [needed for needed in OF_A_QUERY if not allows(self._statements, Request(*needed))]
        self.failure = f"Insufficient permissions: {refused[0]}" if refused else ""
        return {"QueryExecutionId": "1"}

    def get_query_execution(self, **_: str) -> Any:
        self._check("athena:GetQueryExecution", WORKGROUP)
        state = {"State": "FAILED", "StateChangeReason": self.failure} if self.failure else {"State": "SUCCEEDED"}
        return {"QueryExecution": {"Status": state}}

    def get_query_results(self, **_: str) -> Any:
        self._check("athena:GetQueryResults", WORKGROUP)
        rows = [{"Data": [{"VarCharValue": text}]} for text in ("_col0", "7")]
        return {"ResultSet": {"Rows": rows}}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_tables"
        for resource in (f"{GLUE}:catalog", f"{GLUE}:database/{DATABASE}", f"{GLUE}:table/{DATABASE}/orders"):
            self._check("glue:GetTables", resource)
        views = {name for name in TABLES if name != "orders"}
        return SimpleNamespace(paginate=lambda **_: SimpleNamespace(search=lambda _: views))


def trial_of(statements: list[dict[str, Any]]) -> Any:
    played = Athena(statements)
    outputs = {"athena_workgroup": NAME, "databases": {"orders": DATABASE}}
    ended = SimpleNamespace(
        upload=SimpleNamespace(batch_id="b"),
        manifest=documents.manifest(tables={"orders": documents.published_table("orders", 7)}),
    )
    other = SimpleNamespace(
        upload=SimpleNamespace(batch_id="c"),
        manifest=documents.manifest(tables={"orders": documents.published_table("orders", 7)}),
    )
    return SimpleNamespace(
        place=SimpleNamespace(name="aws", outputs=lambda: outputs),
        good=lambda: ended,
        mixed=lambda: other,
        analyst=lambda _: played,
        wait_for=lambda condition, _: condition(),
    )


CHECKS = (
    test_athena.test_each_table_has_the_rows_of_the_manifests,
    test_athena.test_each_view_has_the_expected_rows,
    test_athena.test_every_saved_query_runs,
    test_athena.test_athenas_console_shows_the_workgroup_the_catalog_and_its_tables,
)


def faults_of(statements: list[dict[str, Any]]) -> list[str]:
    """Why checks of Athena fail for somebody with these statements and no others."""
    trial, faults = trial_of(statements), []
    for check in CHECKS:
        try:
            check(trial, lambda _: None)
        except (AssertionError, ClientError) as fault:
            faults.append(str(fault))
    return faults


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every view shows seven rows."""
    monkeypatch.setattr(test_athena, "published_keys", lambda _: {"orders": set(map(str, range(7)))})
    monkeypatch.setattr(test_athena, "RUNS", 7)
    monkeypatch.setattr(test_athena, "REJECTS", 7)


@pytest.fixture
def analyst(first_plan: Run) -> list[dict[str, Any]]:
    return statements_of(dict(policies(first_plan))["output.analyst_policy"])


def test_every_check_holds_with_the_policy(analyst: list[dict[str, Any]]) -> None:
    assert faults_of(analyst) == []


def grants(statements: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for statement in statements:
        if "Condition" not in statement:
            yield from (
                (action, resource)
                for action in listed(statement["Action"])
                for resource in listed(statement["Resource"])
            )


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        *OF_A_QUERY,
        *((f"athena:{action}", "*") for action in (*LISTS.values(), "ListWorkGroups")),
        *((f"athena:{action}", CATALOG) for action in (*IN_CATALOG.values(), "ListTableMetadata")),
        *((f"athena:{action}", WORKGROUP) for action in ("GetWorkGroup", "ListNamedQueries", "BatchGetNamedQuery")),
    ],
)
def test_a_missing_permission_fails_a_check(analyst: list[dict[str, Any]], action: str, resource: str) -> None:
    without = [
        {"Effect": "Allow", "Action": allowed, "Resource": pattern}
        for allowed, pattern in grants(analyst)
        if not (
            allowed == action
            and allows([{"Effect": "Allow", "Action": allowed, "Resource": pattern}], Request(action, resource))
        )
    ]
    faults = faults_of(without)
    assert any(action.partition(":")[2] in fault for fault in faults), faults


def test_the_boundary_of_the_smoke_test_allows_the_whole_policy(
    bootstrap_plan: Run, analyst: list[dict[str, Any]]
) -> None:
    renamed = json.loads(
        json.dumps(analyst)
        .replace(NAME, "order-pipeline-smoke-1a2b3c")
        .replace(DATABASE, "order_pipeline_smoke_1a2b3c_orders")
    )
    boundary = [
        {name: value for name, value in statement.items() if name != "Condition"}
        for statement in statements_of(boundary_of(bootstrap_plan, "smoke"))
    ]
    outside = [
        (action, resource)
        for statement in renamed
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if not allows(boundary, Request(action, resource))
    ]
    assert outside == [], "Add these to local.analyst_statements of infra/bootstrap/boundary.tf."
    assert ACCOUNT in json.dumps(renamed)
