"""moto and the local emulator list a carriage return in a key as a line feed; such a file is not called deleted."""

import sys

import pytest

from functions.common.batch_state import BatchState, versions
from pipeline import cli
from pipeline.inspect import explain_commands
from pipeline.recover import commands as recovery_commands
from pipeline.recover import restarts
from tests.integration.deployed import Place, patience, use_place
from tests.unit.orders import lines, order

GOOD = lines([order()])


def test_reconcile_and_explain_do_not_call_the_file_deleted(
    aws: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place()
    use_place(place, monkeypatch, explain_commands, recovery_commands)
    place.upload(GOOD, "a\rb.jsonl")
    (listed,) = versions(restarts.pipeline_of(place))  # type: ignore[arg-type]
    assert listed.key == "incoming/orders/a\nb.jsonl", "the emulator's fault is gone: delete this test and the advice"
    (finding,) = restarts.findings(place, restarts.Selection(), patience())  # type: ignore[arg-type]
    assert finding.state is BatchState.MISSING
    for command in (["reconcile", "--grace", "0m", "--apply"], ["explain", finding.batch_id]):
        monkeypatch.setattr(sys, "argv", ["pipeline", *command, "--target", "local"])
        with pytest.raises(SystemExit):
            cli.main()
        printed = " ".join("".join(capsys.readouterr()).split())
        assert "lists it but does not return it" in printed or "lists a carriage return as a line feed" in printed, (
            printed
        )
        assert "deleted" not in printed
        assert "no longer exists" not in printed


def test_a_key_with_a_line_feed_is_published(aws: None) -> None:
    place = Place()
    batch = place.process(GOOD, "a\nb.jsonl")
    (finding,) = restarts.findings(place, restarts.Selection(), patience())  # type: ignore[arg-type]
    assert (finding.state, finding.batch_id) == (BatchState.PUBLISHED, batch.batch_id)
