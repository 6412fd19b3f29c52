"""Runs the tests in tests/e2e/smoke on a deployment and collects their results."""

import tempfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pipeline import ROOT
from pipeline import console as show
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.smoke.check_results import CheckOutcome, Result

TESTS = ROOT / "tests" / "e2e" / "smoke"


class TestedDeployment:
    """A pytest plugin that gives `place` to tests/e2e/smoke/conftest.py and collects the test results."""

    def __init__(self, place: Target) -> None:
        self.__name__ = "deployment"  # pytest's name for the plugin
        self.place = place
        self.results: list[Result] = []
        self.is_interrupted = False

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Add the result of a test that has run or was skipped, or whose fixture failed."""
        if call.when == "call" or call.excinfo:
            self._add(_result(item, call))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Add a failure for a test file that can't be collected."""
        if report.failed:
            self._add(Result(report.nodeid, CheckOutcome.FAILED, str(report.longrepr)))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record a Ctrl-C. pytest also calls this method when it stops because a file can't be collected."""
        self.is_interrupted = excinfo.type is KeyboardInterrupt

    def _add(self, result: Result) -> None:
        show.step(f"{result.outcome}: {result.name}")
        self.results.append(result)


def run_tests(place: Target, tests: Path = TESTS) -> list[Result]:
    """Test a deployment and return the results. After a Ctrl-C, the tests clean up and KeyboardInterrupt is raised."""
    plugin = TestedDeployment(place)
    # the settings in pyproject.toml, without pytest's output and the options of make test
    options = ["-c", str(ROOT / "pyproject.toml"), "--strict-markers", "--capture=no"]
    options += ["--override-ini=addopts=", "--override-ini=verbosity_assertions=2"]
    without = [f"-pno:{name}" for name in ("terminal", "cacheprovider", "faulthandler", "xdist.looponfail")]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="pipeline-smoke-") as folder:
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        ended = pytest.main([*options, *without, f"--basetemp={folder}/pytest", str(tests)], plugins=[plugin])
    if plugin.is_interrupted:
        raise KeyboardInterrupt
    if ended != pytest.ExitCode.OK and not any(one.outcome is CheckOutcome.FAILED for one in plugin.results):
        detail = f"pytest ended with {pytest.ExitCode(ended).name}. Run them alone: .venv/bin/python -m pytest {tests}"
        plugin.results.append(Result("the tests", CheckOutcome.FAILED, detail))
    return plugin.results


def _result(item: pytest.Item, call: pytest.CallInfo[None]) -> Result:
    mark = item.get_closest_marker("check")
    name = str(mark.args[0]) if mark else item.name
    if call.excinfo is None:
        found = dict(item.user_properties).get("found", "")
        return Result(name, CheckOutcome.OK, str(found), round(call.duration, 1))
    raised = call.excinfo.value
    if isinstance(raised, pytest.skip.Exception):
        return Result(name, CheckOutcome.OMITTED, str(raised))
    is_sentence = isinstance(raised, (AssertionError, pytest.fail.Exception, ClientError, CliError))
    detail = str(raised) if is_sentence else f"{type(raised).__name__}: {raised}"
    return Result(name, CheckOutcome.FAILED, detail, round(call.duration, 1))
