"""Strings that a spreadsheet may read as formulas get an apostrophe in CSV; all other values stay as they are."""

from pathlib import Path

import duckdb
import pytest

from functions.common.contract import Column, Table
from functions.write.csv_file import write_csv
from tests.unit.steps import batch_of

FORMULAS = ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1+1", "＋1", "－1", "＠SUM(1)", "=", "＝")
OTHERS = ("", "1", " =1", '"=1', ",=1", "'=1", "a=1", "ー1", "–1", "\u200b=1", "é", "😀")


def written(values: list[tuple[str | None, float]], folder: Path) -> list[tuple[str | None, str]]:
    """The cells of a table with a string and a number, as they are in its CSV file."""
    table = Table("t", (Column("text", "VARCHAR"), Column("number", "DOUBLE")), ("text",), (), (), "")
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (text VARCHAR, number DOUBLE)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", values)
    path = write_csv(table, batch_of(b"{}"), folder, connection)
    read = f"read_csv('{path}', all_varchar = true, allow_quoted_nulls = false, header = true)"
    return connection.execute(f"SELECT text, number FROM {read}").fetchall()


@pytest.mark.parametrize("value", FORMULAS)
def test_a_string_that_may_be_a_formula_gets_an_apostrophe(value: str, tmp_path: Path) -> None:
    assert written([(value, 1)], tmp_path) == [(f"'{value}", "1.0")]


def test_every_other_string_stays_as_it_is(tmp_path: Path) -> None:
    assert [text for text, _ in written([(text, 0) for text in OTHERS], tmp_path)] == list(OTHERS)
    assert written([(None, 0)], tmp_path) == [(None, "0.0")]


def test_numbers_are_not_changed(tmp_path: Path) -> None:
    assert [number for _, number in written([("x", -1.5), ("x", 0.1)], tmp_path)] == ["-1.5", "0.1"]
