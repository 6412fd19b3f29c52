"""`pipeline report` on the real functions: a page for every outcome, its path, and its options."""

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.inspect import explain_commands
from pipeline.recover import restarts
from tests.integration.deployed import Place, patience
from tests.unit.orders import lines, order

MIXED = lines([*(order(order_id=str(number)) for number in range(1, 12)), order(order_id="12", total_amount=1)])
NAME = order()["customer"]["name"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    place = Place()
    monkeypatch.setattr(explain_commands, "target", lambda _: place)
    monkeypatch.setattr(restarts, "patience", patience)
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command. Returns its exit status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipeline", "report", *arguments, "--target", "local"])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("data", "headline"),
    [
        (lines([order()]), "Published: its one record"),
        (MIXED, "Published, without 1 of its 12 records"),
        (b"{}\n" * 5, "Failed: nothing was published"),
        (b"", "Failed: nothing was published"),
    ],
    ids=["published", "partly rejected", "rejected", "empty"],
)
def test_each_outcome_has_its_page(place: Place, run: Run, data: bytes, headline: str) -> None:
    batch = place.process(data)
    status, out, _ = run(batch.batch_id)
    assert (status, out) == (0, f"{batch.batch_id}.html\n")
    page = Path(f"{batch.batch_id}.html").read_text("utf-8")
    assert f"<h1>{headline}</h1>" in page
    assert "Traceback" not in page


def test_rejects_are_masked_by_default(place: Place, run: Run) -> None:
    batch = place.process(MIXED)
    assert run(batch.batch_id)[0] == 0
    page = Path(f"{batch.batch_id}.html").read_text("utf-8")
    assert "total_mismatch" in page
    assert NAME not in page
    assert run(batch.batch_id, "--show-values", "--out", "shown.html") == (0, "shown.html\n", "")
    assert Path("shown.html").read_text("utf-8").count(NAME) >= 1, "in a reject"


def test_a_batch_can_be_named_by_key_or_execution(place: Place, run: Run, tmp_path: Path) -> None:
    batch = place.process(MIXED)
    for what in (batch.source.key, batch.batch_id, f"s3://{batch.source.bucket}/{batch.source.key}"):
        assert run(what, "--out", str(tmp_path))[:2] == (0, f"{tmp_path}/{batch.batch_id}.html\n")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("incoming/orders/nowhere.jsonl",), 2, "There is no file incoming/orders/nowhere.jsonl."),
        (("nothing at all",), 2, "isn't a key, a batch or an execution"),
        (("{batch}", "--out", "no/such/folder/x.html"), 1, "no/such/folder/x.html: No such file or directory."),
    ],
)
def test_a_report_that_can_t_be_written_is_explained(
    place: Place, run: Run, arguments: tuple[str, ...], status: int, says: str
) -> None:
    batch = place.process(MIXED)
    found, _, err = run(*(one.format(batch=batch.batch_id) for one in arguments))
    assert found == status
    assert says in " ".join(err.split())
    assert "next:" in err


@pytest.mark.parametrize("opens", [True, False])
def test_the_report_is_opened_on_request(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, opens: bool) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or opens)
    batch = place.process(MIXED)
    status, _, err = run(batch.batch_id, "--open")
    assert opened == [Path(f"{batch.batch_id}.html").absolute().as_uri()]
    assert (status, "no browser could be started" in err) == ((0, False) if opens else (1, True))
