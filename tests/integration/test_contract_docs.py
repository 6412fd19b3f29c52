"""docs/guides/use-your-own-data.md: its worked example is a contract, and its commands print what the page shows."""

import re
import subprocess
import sys
from pathlib import Path

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
