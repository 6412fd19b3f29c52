"""The linter of SQL for Athena, and `contract check`, which uses it on a contract's saved queries."""

import re
from pathlib import Path

import pytest

from pipeline import ROOT
from pipeline.contract.athena import RESERVED_IN_SELECT, sql_faults

ACCEPTED = {
    "a quoted reserved word": 'SELECT "first" FROM t AS "last"',
    "reserved words in their own meaning": "SELECT trim(a), current_date FROM t ORDER BY a NULLS FIRST",
    "types": "SELECT DATE '2026-01-01', CAST(a AS date) FROM t",
    "element_at": "SELECT element_at(m, 'a').b FROM t",
    "an array's element": "SELECT element_at(a, 1), ARRAY[1, 2] FROM t",
    "a subscript in try": "SELECT try(m['a']), try(a[1]) FROM t",
    "a view with a word that only DDL reserves": "CREATE VIEW v AS SELECT user FROM t",
}
REFUSED = {
    "a column": ("SELECT\n    first FROM t", 2, "first is a reserved word"),
    "an alias": ("SELECT a AS last FROM t", 1, "last is a reserved word"),
    "a table's alias": ("SELECT a\nFROM t AS first", 2, "first is a reserved word"),
    "a qualifier": ("SELECT\n\n    first.a FROM t", 3, "first is a reserved word"),
    "a common table expression": ("WITH skip AS (SELECT 1 AS a) SELECT a FROM skip", 1, "skip is a reserved word"),
    "a map's subscript": ("SELECT\n    m['a'] FROM t", 2, "a map has no key 'a'"),
    "a key that is missing, deeper": ("SELECT b.m['a'].c FROM t", 1, "a map has no key 'a'"),
    "a key that is computed": ("SELECT a,\n    m[b] FROM t", 2, "no such key"),
    "an array's subscript": ("SELECT a,\n    b[1] FROM t", 2, "an array no such element"),
    "a view": ("CREATE VIEW v AS\nSELECT first FROM t", 2, "first is a reserved word"),
    "what is not SQL": ("SELECT FROM WHERE", 1, "can't parse the query"),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_sql_that_athena_supports_is_accepted(what: str) -> None:
    assert list(sql_faults(Path("query.sql"), ACCEPTED[what])) == []


@pytest.mark.parametrize("what", REFUSED)
def test_sql_that_athena_does_not_support_is_refused(what: str) -> None:
    sql, line, says = REFUSED[what]
    faults = list(sql_faults(Path("query.sql"), sql))
    assert faults
    assert {fault.line for fault in faults} == {line}
    assert all(says in fault.says for fault in faults)


def test_sql_changed_as_advised_is_accepted() -> None:
    for word in sorted(RESERVED_IN_SELECT):
        assert list(sql_faults(Path("query.sql"), f'SELECT t."{word.lower()}" FROM t')) == []


def test_the_projects_own_queries_are_accepted() -> None:
    paths = [path for place in ("infra", "contracts", "examples") for path in (ROOT / place).rglob("queries/*.sql")]
    assert {fault for path in paths for fault in sql_faults(path, path.read_text("utf-8"))} == set()
    assert len(paths) > 5


def test_views_quote_every_name_of_a_contract() -> None:
    """A contract may give its tables and columns reserved names."""
    found = 0
    for template in (ROOT / "infra" / "views").glob("*.sql.tftpl"):
        lines = [line for line in template.read_text("utf-8").splitlines() if not line.startswith("--")]
        for line in lines:
            for name in re.finditer(r"\$\{(?:[^{}\"]|\"(?:\\.|[^\"\\])*\")*\}", line):
                found += 1
                is_quoted = '\\"%s\\"' in name[0] or line[: name.start()].endswith('"')
                assert is_quoted, f"{template.name}: {name[0]} may be a reserved word"
    assert found > 8
