"""Published CSV files: each reader returns every value, and no cell is a formula."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pandas
import pytest

from functions.common.contract import LINEAGE, load_contract
from tests.hostile.outcome_check import as_csv
from tests.unit.orders import ODD_STRINGS, customer, item, lines, order
from tests.unit.steps import publish

TABLES = {table.name: table for table in load_contract("orders").tables}
Rows = list[list[str | None]]

STRINGS = (
    *("", *ODD_STRINGS, "end\r", "x\ry", "\n", " lead", "trail ", ",", '"', '""', '","'),
    *("1.50", "0042", "1e400", "12345678901234567890", "2026-01-02", "1/2", "10:30", "50%", "$5", "(5)", "1,234.5"),
)
"""Strings that a reader could parse as a number, a date, null, a separator or a line end."""

FORMULAS = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "'=1+1", '"=1+1', ",=1+1", ";=1+1"),
    *('x"\n=1+1', '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0", "\u200b=1+1", "%0A=1+1", "{=1+1}"),
    *("＝1+1", "＋1+1", "－1+1", "＠SUM(1+1)"),
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CSV and Parquet files of orders, with every unusual string as a name, a telephone number and a product."""
    records = [
        order(
            order_id=f"{number:04}",
            order_date=f"2026-01-02T03:04:05.{number:06}+01:00",
            customer=customer(customer_id=f"c{number:04}", name=text or "x", phone=text, email=None),
            items=[item(line_number=1, product_name=text or "x", quantity=0.001, unit_price=0.0001)],
            shipping_cost=-number / 10000,
        )
        for number, text in enumerate((*STRINGS, *FORMULAS))
    ]
    return publish(lines(records), tmp_path_factory.mktemp("csv")).folder


def expected(folder: Path, table: str) -> Rows:
    """The content of the Parquet file as cells of a CSV, with None for null."""
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder / table}.parquet')")
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return [[None if row[name] is None else text for name, text in as_csv(row).items()] for row in rows]


def without_null(rows: Rows) -> Rows:
    """For readers that don't distinguish null from an empty string."""
    return [[cell or "" for cell in row] for row in rows]


@pytest.mark.parametrize("table", TABLES)
def test_pythons_csv_module_returns_every_value(published: Path, table: str) -> None:
    with (published / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == [column.name for column in (*TABLES[table].columns, *LINEAGE)]
    assert rows == without_null(expected(published, table))


@pytest.mark.parametrize("table", TABLES)
def test_pandas_returns_every_value(published: Path, table: str) -> None:
    frame = pandas.read_csv(published / f"{table}.csv", dtype=str, keep_default_na=False)
    assert frame.to_numpy().tolist() == without_null(expected(published, table))


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_distinguishes_null_from_an_empty_string(published: Path, table: str) -> None:
    path = published / f"{table}.csv"
    rows = duckdb.sql(f"SELECT * FROM read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)").fetchall()
    assert [list(row) for row in rows] == expected(published, table)


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_reads_the_types_of_the_contract(published: Path, table: str) -> None:
    """Decimals stay decimals, and times are UTC with microseconds."""
    columns = {column.name: column.type for column in (*TABLES[table].columns, *LINEAGE)}
    numbers = {name: kind for name, kind in columns.items() if kind != "VARCHAR"}
    path = published / table
    given = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    read = duckdb.sql(f"SELECT {', '.join(numbers)} FROM read_csv('{path}.csv', columns = {{{given}}})")
    parquet = duckdb.sql(f"SELECT {', '.join(numbers)} FROM read_parquet('{path}.parquet')")
    assert read.fetchall() == parquet.fetchall()
    assert [str(kind) for kind in parquet.types] == list(numbers.values())


@pytest.mark.parametrize("table", TABLES)
def test_the_bytes_follow_rfc_4180_except_for_line_ends(published: Path, table: str) -> None:
    """UTF-8 without a BOM, a header, a newline after each row, and no unescaped quote inside of quotes."""
    text = (published / f"{table}.csv").read_bytes().decode("utf-8")
    assert text[0] != "\ufeff"
    bare = re.sub(r'"(?:[^"]|"")*"', "quoted", text)
    assert '"' not in bare
    assert "\r" not in bare, "a carriage return must be in quotes"
    assert bare.endswith("\n")
    assert bare.count("\n") == 1 + len(STRINGS) + len(FORMULAS)
    assert {line.count(",") for line in bare.split("\n")[:-1]} == {len(TABLES[table].columns) + len(LINEAGE) - 1}


def test_null_is_unquoted_and_an_empty_string_is_quoted(tmp_path: Path) -> None:
    done = publish(lines([order(customer=customer(email=None, phone=""))]), tmp_path)
    assert 'Vins et alcools Chevalier,,"",59 rue de l\'Abbaye' in done.csv("customers")


@pytest.mark.parametrize("table", TABLES)
def test_libreoffice_returns_every_value(published: Path, tmp_path: Path, table: str) -> None:
    """Read as strings, column by column. Inside a cell LibreOffice only has the line break
    , and null equals empty."""
    columns = "/".join(f"{number}/2" for number in range(1, len(TABLES[table].columns) + len(LINEAGE) + 1))
    read = f"44,34,76,1,{columns},0,false,false,false"
    written = convert(
        published / f"{table}.csv", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true,true", read, tmp_path
    )
    _, *rows = csv.reader(io.StringIO(written.read_bytes().decode("utf-8"), newline=""))
    assert rows == [
        [cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row if cell is not None]
        for row in without_null(expected(published, table))
    ]


def test_libreoffice_finds_no_formula(published: Path, tmp_path: Path) -> None:
    """The import options turn on the detection of formulas, and of the types of columns."""
    sheet = convert(published / "customers.csv", "fods", "44,34,76,1,,0,false,true,false,false,false,0,true", tmp_path)
    assert "table:formula" not in sheet.read_text("utf-8")
    assert sheet.read_text("utf-8").count("1+1") > len(FORMULAS) / 2, "LibreOffice did not read the strings"


def test_libreoffice_would_find_a_formula(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a\n=1+1\n")
    sheet = convert(tmp_path / "bad.csv", "fods", "44,34,76,1,,0,false,true,false,false,false,0,true", tmp_path / "out")
    assert "table:formula" in sheet.read_text("utf-8")


def convert(path: Path, to: str, read: str, folder: Path) -> Path:
    """Let LibreOffice read a CSV file with the options `read` and write it as the format `to`."""
    soffice = shutil.which("soffice")
    if not soffice:
        pytest.skip("LibreOffice isn't installed: apt-get install --no-install-recommends libreoffice-calc-nogui")
    command = [soffice, "--headless", "--norestore", f"-env:UserInstallation=file://{folder / 'profile'}"]
    options = [f"--infilter=CSV:{read}", "--convert-to", to, "--outdir", str(folder), str(path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=120)
    made = folder / f"{path.stem}.{to.split(':')[0]}"
    assert made.is_file(), done.stdout + done.stderr
    return made
