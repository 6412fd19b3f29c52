"""`pipeline smoke` returns one result per test that it runs on its deployment."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.smoke.check_results import CheckOutcome, Result
from pipeline.smoke.run_tests import run_tests

PLACE: Any = SimpleNamespace(name="aws")

TESTS = """
import pytest
from functions.common.errors import NoValidRecordsError
from pipeline.errors import CliError


@pytest.fixture
def broken():
    raise KeyError("before")


@pytest.fixture
def untidy():
    yield
    raise KeyError("after")


@pytest.mark.check("finds something")
def test_finds(record_property):
    record_property("found", "7 orders")


@pytest.mark.check("gets the deployment")
def test_gets(request):
    assert request.config.pluginmanager.get_plugin("deployment").place.name == "aws"


@pytest.mark.check("is left out")
def test_is_left_out():
    pytest.skip("the embedded AWS can't")


@pytest.mark.check("asserts")
def test_asserts():
    assert {"rows": 6} == {"rows": 7}, "the counts"


@pytest.mark.check("fails")
def test_fails():
    pytest.fail("nothing came", pytrace=False)


@pytest.mark.check("gets advice")
def test_gets_advice():
    raise CliError("No execution was started")


@pytest.mark.check("raises the pipeline's error")
def test_raises():
    raise NoValidRecordsError("none")


@pytest.mark.check("raises another error")
def test_raises_another():
    raise KeyError("usd")


@pytest.mark.check("has a broken fixture")
def test_broken(broken):
    pass


@pytest.mark.check("has an untidy fixture")
def test_untidy(untidy):
    pass
"""


def results_of(folder: Path, tests: str) -> list[Result]:
    """The results of a file of tests, which pytest imports under a name that no other run has."""
    (folder / f"test_in_{folder.name}.py").write_text(tests)
    return run_tests(PLACE, folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The last result of each of TESTS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "-k nothing")  # a user's own options
        return {result.name: result for result in results_of(tmp_path_factory.mktemp("smoke"), TESTS)}


@pytest.mark.parametrize(
    ("name", "outcome", "detail"),
    [
        ("finds something", CheckOutcome.OK, "7 orders"),
        ("gets the deployment", CheckOutcome.OK, ""),
        ("is left out", CheckOutcome.OMITTED, "the embedded AWS can't"),
        ("asserts", CheckOutcome.FAILED, "the counts\nassert {'rows': 6} == {'rows': 7}"),
        ("fails", CheckOutcome.FAILED, "nothing came"),
        ("gets advice", CheckOutcome.FAILED, "No execution was started"),
        ("raises the pipeline's error", CheckOutcome.FAILED, "NoValidRecordsError: none"),
        ("raises another error", CheckOutcome.FAILED, "KeyError: 'usd'"),
        ("has a broken fixture", CheckOutcome.FAILED, "KeyError: 'before'"),
        ("has an untidy fixture", CheckOutcome.FAILED, "KeyError: 'after'"),
    ],
)
def test_each_test_has_its_result(results: dict[str, Result], name: str, outcome: CheckOutcome, detail: str) -> None:
    assert (results[name].outcome, results[name].detail[: len(detail) or None]) == (outcome, detail)


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    [result] = results_of(tmp_path, "import no_such_module")
    assert result.outcome is CheckOutcome.FAILED
    assert "no_such_module" in result.detail


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    [result] = results_of(tmp_path, "")
    assert (result.outcome, "NO_TESTS_COLLECTED" in result.detail) == (CheckOutcome.FAILED, True)


def test_an_interrupt_is_raised_after_the_fixtures_have_cleaned_up(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    fixture = f"import pytest\n\n@pytest.fixture\ndef queue():\n    yield\n    open({str(cleaned)!r}, 'w')\n"
    with pytest.raises(KeyboardInterrupt):
        results_of(tmp_path, f"{fixture}\ndef test_it(queue):\n    raise KeyboardInterrupt\n")
    assert cleaned.exists()
