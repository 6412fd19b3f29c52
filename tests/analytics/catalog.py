"""Read a bucket as Athena would: run the tables, views and queries that Terraform plans on DuckDB.

Views and queries are in Trino's SQL. sqlglot transpiles them, so that no SQL is repeated here.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from functions.common.sql import identifier, literal
from tests.infra.conftest import Run

DATABASE = "order_pipeline_dev_{dataset}"
_VIEW = re.compile(r"/\* Presto View: (.*) \*/")
_BUCKET = re.compile(r"s3://[^/]+/")


class Catalog:
    """The planned databases, tables, views and saved queries, by dataset and name."""

    def __init__(self, plan: Run) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        """The external tables of each dataset: as Glue gets them."""
        self.views: dict[str, dict[str, Any]] = {}
        """The views likewise; `view` is what Athena reads in their text."""
        self.queries: dict[str, dict[str, str]] = {}
        """The saved queries: their SQL."""
        self.workgroup = next(iter(plan.planned("aws_athena_workgroup").values()))
        for values in plan.planned("aws_glue_catalog_table").values():
            dataset = values["database_name"].removeprefix(DATABASE.format(dataset=""))
            if text := values.get("view_original_text"):
                found = _VIEW.fullmatch(text)
                assert found, f"{values['name']}: Athena would not recognise this as a view"
                view = json.loads(base64.b64decode(found[1]))
                self.views.setdefault(dataset, {})[values["name"]] = {**values, "view": view}
            else:
                self.tables.setdefault(dataset, {})[values["name"]] = values
        for values in plan.planned("aws_athena_named_query").values():
            dataset, name = values["name"].split(": ")
            self.queries.setdefault(dataset, {})[name.replace(" ", "_")] = values["query"]

    def open(self, folder: Path, dataset: str = "orders") -> duckdb.DuckDBPyConnection:
        """A database over a copy of the processed bucket in `folder`, with every table and view of a dataset."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for name, table in self.tables[dataset].items():
            connection.execute(f"CREATE VIEW {identifier(name)} AS {relation(table, folder)}")
        waiting = {name: transpiled(view["view"]["originalSql"]) for name, view in self.views[dataset].items()}
        while waiting:  # a view may use another one
            ready = [name for name, sql in waiting.items() if not _tables_in(sql) & waiting.keys()]
            assert ready, f"these views depend on each other in a cycle: {sorted(waiting)}"
            for name in ready:
                connection.execute(f"CREATE VIEW {identifier(name)} AS {waiting.pop(name)}")
        return connection


@cache
def transpiled(sql: str) -> str:
    """Convert Trino SQL to DuckDB SQL."""
    [statement] = sqlglot.transpile(sql, read="trino", write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    return statement


def _tables_in(sql: str) -> set[str]:
    return {table.name for table in sqlglot.parse_one(sql, read="duckdb").find_all(exp.Table)}


def columns(values: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a planned table or view without its partition, each with its Hive type."""
    [storage] = values["storage_descriptor"]
    return {column["name"]: column["type"] for column in storage["columns"]}


def duckdb_type(hive: str) -> str:
    """The DuckDB name of a Hive type."""
    return exp.DataType.build(hive, dialect="hive").sql("duckdb").replace("TEXT", "VARCHAR")


def relation(table: Mapping[str, Any], folder: Path) -> str:
    """A SELECT from the files of an external table, read by its format. Without files it has no rows."""
    [storage] = table["storage_descriptor"]
    [serde] = storage["ser_de_info"]
    partitions = [key["name"] for key in table["partition_keys"] or []]
    types = {name: duckdb_type(kind) for name, kind in columns(table).items()}
    names = ", ".join(map(identifier, [*types, *partitions]))
    files = sorted(path for path in (folder / key_of(storage["location"])).rglob("*") if path.is_file())
    if not files:
        nothing = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in types.items())
        return f"SELECT {nothing}{''.join(f', NULL::VARCHAR AS {name}' for name in partitions)} WHERE false"
    check_places(table, files, folder)
    paths = f"[{', '.join(map(literal, files))}]"
    hive = "hive_partitioning = true, hive_types = {'ingest_date': VARCHAR}" if partitions else ""
    readers = {
        "ParquetHiveSerDe": f"read_parquet({paths}, {hive})",
        "JsonSerDe": f"read_json({paths}, format = 'newline_delimited', columns = {_struct(types)})",
        "LazySimpleSerDe": (
            f"read_csv({paths}, {hive}, auto_detect = false, header = false, quote = '', escape = '', "
            f"delim = '\x01', max_line_size = 100000000, columns = {_struct(types)})"
        ),
    }
    return f"SELECT {names} FROM {readers[serde['serialization_library'].rpartition('.')[2]]}"


def _struct(types: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items()) + "}"


def key_of(location: str) -> str:
    """The key in an S3 location, without its bucket."""
    return _BUCKET.sub("", location, count=1)


def check_places(table: Mapping[str, Any], files: Iterable[Path], folder: Path) -> None:
    """Fail unless Athena would find each file in the folder of its table or of a projected partition."""
    template = key_of(table["parameters"].get("storage.location.template", "")).replace("${ingest_date}", "DATE")
    pattern = re.escape(template).replace("DATE", r"\d{4}-\d{2}-\d{2}") + "[^/]+"
    lost = [path for path in files if template and not re.fullmatch(pattern, str(path.relative_to(folder)))]
    assert not lost, f"{table['name']}: no partition that Athena projects has these files: {lost}"
