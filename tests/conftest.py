"""Settings of all tests: tiers, the order they run in, the summary, and hypothesis without deadlines."""

import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile(
    "pipeline",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("pipeline")

os.environ.setdefault("GOGC", "400")  # Terraform and its provider take more memory, and a quarter less time


@pytest.fixture(scope="session", autouse=True)
def tmp_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A /tmp of this run's own: functions clean up there, and another run may be going on beside it."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))


TESTS = Path(__file__).parent
SHARING = ("analytics", "e2e", "infra", "load", "statemachine")
"""The tiers whose tests share something expensive: a local emulator, or Terraform's plans."""


def tier_of(path: Path) -> str:
    """The tier of a test file: the folder of tests/ that it is in."""
    return path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, and begin with the tiers that take longest."""
    for item in items:
        item.add_marker(tier_of(item.path))
    items.sort(key=lambda item: tier_of(item.path) not in SHARING)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say for each tier how many tests passed, failed and were skipped, and how long they took together."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            tier = report.nodeid.removeprefix("tests/").partition("/")[0]
            outcomes[tier][outcome] += 1
            seconds[tier] += getattr(report, "duration", 0.0)
    if len(outcomes) < 2:
        return
    terminalreporter.section("tiers (CONTRIBUTING.md says what each needs)")
    for tier, numbers in sorted(outcomes.items()):
        counted = ", ".join(f"{number:,} {outcome}" for outcome, number in numbers.items())
        terminalreporter.write_line(f"{tier:<14}{seconds[tier]:>6,.0f} s  {counted}")


class ByFolder(LoadScopeScheduling):
    """Gives each process of a parallel run (-n) whole folders that share something, and whole files of the others.

    xdist's own groups do nothing under pytest 9: it marks them in a name of the test that pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        tier = tier_of(TESTS.parent / path)
        return tier if tier in SHARING else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    config.option.loadscopereorder = False  # keeps our order, not that of how many tests a file has
    return ByFolder(config, log)
