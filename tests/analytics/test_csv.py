"""CSV that survives: each reader gives back every value of the published files, and no cell is a formula."""

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
from tests.hostile.ledger import as_csv
from tests.unit.orders import ODD_TEXTS, customer, item, lines, order
from tests.unit.steps import publish

TABLES = {table.name: table for table in load_contract("orders").tables}
Rows = list[list[str | None]]

TEXTS = (
    *("", *ODD_TEXTS, "end\r", "x\ry", "\n", " lead", "trail ", ",", '"', '""', '","'),
    *("1.50", "0042", "1e400", "12345678901234567890", "2026-01-02", "1/2", "10:30", "50%", "$5", "(5)", "1,234.5"),
)
"""Texts that some reader could take for a number, a date, nothing, a separator or an end."""

FORMULAS = (
    *("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "'=1+1", '"=1+1', ",=1+1", ";=1+1"),
    *('x"\n=1+1', '=HYPERLINK("http://x","y")', "=cmd|' /C calc'!A0", "\u200b=1+1", "%0A=1+1", "{=1+1}"),
    *("＝1+1", "＋1+1", "－1+1", "＠SUM(1+1)"),
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CSV and Parquet files of orders, with every odd text as a name, a telephone number and a product."""
    records = [
        order(
            order_id=f"{number:04}",
            order_date=f"2026-01-02T03:04:05.{number:06}+01:00",
            customer=customer(customer_id=f"c{number:04}", name=text or "x", phone=text, email=None),
            items=[item(line_number=1, product_name=text or "x", quantity=0.001, unit_price=0.0001)],
            shipping_cost=-number / 10000,
        )
        for number, text in enumerate((*TEXTS, *FORMULAS))
    ]
    return publish(lines(records), tmp_path_factory.mktemp("csv")).folder


def expected(folder: Path, table: str) -> Rows:
    """What the Parquet file says, as the cells of a CSV; None for what is null."""
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder / table}.parquet')")
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return [[None if row[name] is None else text for name, text in as_csv(row).items()] for row in rows]


def without_null(rows: Rows) -> Rows:
    """For readers that don't tell null from an empty text."""
    return [[cell or "" for cell in row] for row in rows]


@pytest.mark.parametrize("table", TABLES)
def test_the_csv_module(published: Path, table: str) -> None:
    with (published / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == [column.name for column in (*TABLES[table].columns, *LINEAGE)]
    assert rows == without_null(expected(published, table))


@pytest.mark.parametrize("table", TABLES)
def test_pandas(published: Path, table: str) -> None:
    frame = pandas.read_csv(published / f"{table}.csv", dtype=str, keep_default_na=False)
    assert frame.to_numpy().tolist() == without_null(expected(published, table))


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_tells_null_from_an_empty_text(published: Path, table: str) -> None:
    path = published / f"{table}.csv"
    rows = duckdb.sql(f"SELECT * FROM read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)").fetchall()
    assert [list(row) for row in rows] == expected(published, table)


@pytest.mark.parametrize("table", TABLES)
def test_duckdb_reads_the_types_of_the_contract(published: Path, table: str) -> None:
    """Decimals stay decimals, and times are UTC, to the microsecond."""
    columns = {column.name: column.type for column in (*TABLES[table].columns, *LINEAGE)}
    numbers = {name: kind for name, kind in columns.items() if kind != "VARCHAR"}
    path = published / table
    given = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    read = duckdb.sql(f"SELECT {', '.join(numbers)} FROM read_csv('{path}.csv', columns = {{{given}}})")
    parquet = duckdb.sql(f"SELECT {', '.join(numbers)} FROM read_parquet('{path}.parquet')")
    assert read.fetchall() == parquet.fetchall()
    assert [str(kind) for kind in parquet.types] == list(numbers.values())


@pytest.mark.parametrize("table", TABLES)
def test_the_bytes_are_those_of_rfc_4180_but_for_the_line_ends(published: Path, table: str) -> None:
    """UTF-8 without a mark, a header, a newline behind each row; nothing quoted holds a lone quote."""
    text = (published / f"{table}.csv").read_bytes().decode("utf-8")
    assert text[0] != "\ufeff"
    bare = re.sub(r'"(?:[^"]|"")*"', "quoted", text)
    assert '"' not in bare
    assert "\r" not in bare, "a carriage return must stand in quotes"
    assert bare.endswith("\n")
    assert bare.count("\n") == 1 + len(TEXTS) + len(FORMULAS)
    assert {line.count(",") for line in bare.split("\n")[:-1]} == {len(TABLES[table].columns) + len(LINEAGE) - 1}


def test_null_is_bare_and_an_empty_text_is_quoted(tmp_path: Path) -> None:
    done = publish(lines([order(customer=customer(email=None, phone=""))]), tmp_path)
    assert 'Vins et alcools Chevalier,,"",59 rue de l\'Abbaye' in done.csv("customers")


@pytest.mark.parametrize("table", TABLES)
def test_libreoffice_gives_every_value_back(published: Path, tmp_path: Path, table: str) -> None:
    """Read as text, column by column. Inside a cell it knows one line break, \\n; null and empty are one to it."""
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
    """Even where it is told to look for formulas, in columns of any kind."""
    sheet = convert(published / "customers.csv", "fods", "44,34,76,1,,0,false,true,false,false,false,0,true", tmp_path)
    assert "table:formula" not in sheet.read_text("utf-8")
    assert sheet.read_text("utf-8").count("1+1") > len(FORMULAS) / 2, "the texts have not come through"


def test_it_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a\n=1+1\n")
    sheet = convert(tmp_path / "bad.csv", "fods", "44,34,76,1,,0,false,true,false,false,false,0,true", tmp_path / "out")
    assert "table:formula" in sheet.read_text("utf-8")


def convert(path: Path, to: str, read: str, folder: Path) -> Path:
    """Let LibreOffice read a CSV by the options `read` and write it `to` another kind."""
    soffice = shutil.which("soffice")
    if not soffice:
        pytest.skip("LibreOffice is not here: apt-get install --no-install-recommends libreoffice-calc-nogui")
    command = [soffice, "--headless", "--norestore", f"-env:UserInstallation=file://{folder / 'profile'}"]
    options = [f"--infilter=CSV:{read}", "--convert-to", to, "--outdir", str(folder), str(path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=120)
    made = folder / f"{path.stem}.{to.split(':')[0]}"
    assert made.is_file(), done.stdout + done.stderr
    return made
