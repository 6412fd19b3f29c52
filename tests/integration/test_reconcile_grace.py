"""`reconcile` reports how many files it skipped because they are younger than the grace period."""

import sys

import pytest

from pipeline import cli
from pipeline.recover import commands as recovery_commands
from tests.integration.deployed import Place, patience
from tests.unit.orders import lines, order

GOOD = lines([order()])


@pytest.mark.parametrize(
    ("grace", "summary", "left_out"),
    [("15m", "0 files:", "Left out files that are younger than 15m (--grace): 2 files."), ("0m", "2 files:", None)],
)
def test_files_younger_than_the_grace_period_are_counted(
    grace: str,
    summary: str,
    left_out: str | None,
    aws: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = Place()
    monkeypatch.setattr(recovery_commands, "target", lambda _: place)
    monkeypatch.setattr(recovery_commands.restarts, "patience", patience)
    for name in ("a.jsonl", "b.jsonl"):
        place.process(GOOD, name)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["pipeline", "reconcile", "--grace", grace, "--target", "local"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr().out
    assert left.value.code == 0
    assert summary in printed
    assert (left_out in printed) if left_out else ("Left out" not in printed)
