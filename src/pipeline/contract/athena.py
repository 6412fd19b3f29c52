"""Checks SQL that Athena runs for what Athena refuses, or what fails there only for some rows."""

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
_DDL = """
ALL ALTER AND ARRAY AS AUTHORIZATION BETWEEN BIGINT BINARY BOOLEAN BOTH BY CASE CASHE CAST CHAR COLUMN COMMIT CONF
CONSTRAINT CREATE CROSS CUBE CURRENT CURRENT_DATE CURRENT_TIMESTAMP CURSOR DATABASE DATE DAYOFWEEK DECIMAL DELETE
DESCRIBE DISTINCT DIV DOUBLE DROP ELSE END EXCHANGE EXISTS EXTENDED EXTERNAL EXTRACT FALSE FETCH FLOAT FLOOR
FOLLOWING FOR FOREIGN FROM FULL FUNCTION GRANT GROUP GROUPING HAVING IF IMPORT IN INNER INSERT INT INTEGER INTERSECT
INTERVAL INTO IS JOIN LATERAL LEFT LESS LIKE LOCAL MACRO MAP MORE NONE NOT NULL NUMERIC OF ON ONLY OR ORDER OUT
OUTER OVER PARTIALSCAN PARTITION PERCENT PRECEDING PRECISION PRESERVE PRIMARY PROCEDURE RANGE READS REDUCE
REFERENCES REGEXP REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROW ROWS SELECT SET SMALLINT START TABLE TABLESAMPLE THEN TIME
TIMESTAMP TO TRANSFORM TRIGGER TRUE TRUNCATE UNBOUNDED UNION UNIQUEJOIN UPDATE USER USING UTC_TIMESTAMP VALUES
VARCHAR VIEWS WHEN WHERE WINDOW WITH
"""
RESERVED_IN_SELECT = frozenset(_SELECT.split())
RESERVED_IN_DDL = frozenset(_DDL.split())


def saved_query_faults(folder: Path) -> Iterator[Fault]:
    """What Athena would refuse in the saved queries of a contract."""
    for path in sorted((folder / "queries").glob("*.sql")):
        yield from sql_faults(path, path.read_text("utf-8"))


def sql_faults(path: Path, sql: str) -> Iterator[Fault]:
    """What Athena would refuse in the statements of a file, by line."""
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect="athena") if statement]
    except SqlglotError as exc:
        yield Fault(path, 1, f"Athena can't read it: {str(exc).splitlines()[0]}", "Write it in Trino's SQL.")
        return
    for statement in statements:
        is_query = isinstance(statement, exp.Query) or isinstance(statement.args.get("expression"), exp.Query)
        words, quote = (RESERVED_IN_SELECT, '"') if is_query else (RESERVED_IN_DDL, "`")
        for name in statement.find_all(exp.Identifier):
            if not name.args.get("quoted") and name.name.upper() in words:
                says = f"{name.name} is a reserved word of Athena"
                yield Fault(path, _line(name), says, f"Quote it: {quote}{name.name}{quote}. Or choose another name.")
        for subscript in statement.find_all(exp.Bracket):
            if subscript.args.get("safe") or subscript.find_ancestor(exp.Try):
                continue
            keys = [key.sql() for key in subscript.expressions if isinstance(key, exp.Literal) and key.is_string]
            key, lacks = (keys[0], f"key {keys[0]}") if keys else ("…", "such key, or an array no such element")
            says = f"a subscript fails the whole query where a map has no {lacks}"
            yield Fault(path, _line(subscript), says, f"Write element_at(…, {key}), which gives null then.")


def _line(node: exp.Expression) -> int:
    """The line of a node, or of the first identifier in it."""
    places = (inner.meta["line"] for inner in node.find_all(exp.Identifier) if "line" in inner.meta)
    return int(min(places, default=1))
