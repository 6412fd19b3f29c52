"""Checks a contract's saved queries for SQL that Athena rejects, or that fails in Athena for some rows."""

from collections.abc import Iterator
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pipeline.contract.fault import Fault

# https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html
_SELECT = """
ALTER AND AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE CURRENT_CATALOG CURRENT_DATE CURRENT_PATH
CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEALLOCATE DELETE DESCRIBE DISTINCT DROP ELSE END ESCAPE
EXCEPT EXECUTE EXISTS EXTRACT FALSE FIRST FOR FROM FULL GROUP GROUPING HAVING IN INNER INSERT INTERSECT INTO IS JOIN
JSON_ARRAY JSON_EXISTS JSON_OBJECT JSON_QUERY JSON_TABLE JSON_VALUE LAST LEFT LIKE LISTAGG LOCALTIME LOCALTIMESTAMP
NATURAL NORMALIZE NOT NULL OF ON OR ORDER OUTER PREPARE RECURSIVE RIGHT ROLLUP SELECT SKIP TABLE THEN TRIM TRUE
UESCAPE UNION UNNEST USING VALUES WHEN WHERE WITH
"""
RESERVED_IN_SELECT = frozenset(_SELECT.split())


def saved_query_faults(folder: Path) -> Iterator[Fault]:
    """Yield the faults in a contract's saved queries."""
    for path in sorted((folder / "queries").glob("*.sql")):
        yield from sql_faults(path, path.read_text("utf-8"))


def sql_faults(path: Path, sql: str) -> Iterator[Fault]:
    """Yield the faults in the statements of a file, each with its line."""
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="athena") if statement]
    except SqlglotError as exc:
        yield Fault(path, 1, f"Athena can't parse the query: {str(exc).splitlines()[0]}", "Use Trino's SQL dialect.")
        return
    for statement in statements:
        for name in statement.find_all(exp.Identifier):
            if not name.args.get("quoted") and name.name.upper() in RESERVED_IN_SELECT:
                says = f"{name.name} is a reserved word in Athena"
                yield Fault(path, _line(name), says, f'Quote the name: "{name.name}". Or choose another name.')
        for subscript in statement.find_all(exp.Bracket):
            if subscript.args.get("safe") or subscript.find_ancestor(exp.Try):
                continue
            keys = [key.sql() for key in subscript.expressions if isinstance(key, exp.Literal) and key.is_string]
            key, lacks = (keys[0], f"key {keys[0]}") if keys else ("…", "such key, or an array no such element")
            says = f"a subscript fails the whole query where a map has no {lacks}"
            yield Fault(path, _line(subscript), says, f"Write element_at(…, {key}), which returns null in that case.")


def _line(node: exp.Expression) -> int:
    """Return the line of the first identifier in a node, or 1 without identifiers."""
    places = (inner.meta["line"] for inner in node.find_all(exp.Identifier) if "line" in inner.meta)
    return int(min(places, default=1))
