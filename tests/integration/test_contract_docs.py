"""The examples of the guide and the reference for contracts: files agree, and commands print what the page shows."""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pipeline import ROOT

TEXT = (ROOT / "docs" / "guides" / "use-your-own-data.md").read_text("utf-8")
FILES = dict(re.findall(r"`(contracts/parcels/\S+|parcels\.jsonl)`:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = re.findall(r"^\$ (?:(\w+)=(\S+) )?pipeline (.*?)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("docs")
    for name, content in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content, "utf-8")
    return made


@pytest.mark.parametrize(("name", "value", "command", "printed"), COMMANDS, ids=[one[2] for one in COMMANDS])
def test_a_command_prints_what_the_page_says(folder: Path, name: str, value: str, command: str, printed: str) -> None:
    contracts = ["--contracts", "contracts"] if command.startswith("validate") else []
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *command.split(), *contracts],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **({name: value} if name else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == printed, done.stderr


def test_the_page_contains_the_example_contract() -> None:
    assert len(FILES) == 5
    assert len(COMMANDS) == 2


def test_the_select_for_rows_without_a_natural_key_numbers_them_within_their_record() -> None:
    page = (ROOT / "docs" / "reference" / "contract.md").read_text("utf-8")
    (select,) = re.findall(r"### Rows without a natural key\n.*?```sql\n(.*?)```", page, re.DOTALL)
    with closing(duckdb.connect()) as connection:
        connection.execute(
            "CREATE TABLE records AS SELECT 0 AS _position, 'a' AS order_id, [{'name': 'x'}, {'name': 'y'}] AS items "
            "UNION ALL SELECT 90, 'b', [{'name': 'x'}]"
        )
        rows = connection.sql(select).fetchall()
    assert sorted(rows) == [(0, "a", 1, "x"), (0, "a", 2, "y"), (90, "b", 1, "x")]
