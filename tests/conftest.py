"""Settings for all tests: tiers, their order, the summary, and hypothesis without deadlines."""

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
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

botocore.session.create_loader = cache(botocore.loaders.create_loader)  # a session else reads AWS's API models again

os.environ.setdefault("GOGC", "400")  # Terraform and its provider take more memory and a quarter less time


@pytest.fixture(scope="session", autouse=True)
def tmp_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A separate /tmp for this run: functions delete files there, and another run may use the same machine."""
    before = tempfile.tempdir
    tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))
    yield
    tempfile.tempdir = before  # `pipeline smoke` goes on after the tests


TESTS = Path(__file__).parent
SHARING = ("e2e", "infra", "load", "statemachine", "analytics")
"""The tiers whose tests share something expensive (an emulator, or Terraform's plans), longest first.

One process runs such a tier from beginning to end, so these start before all others.
"""


def tier_of(path: Path) -> str:
    """The tier of a test file: its folder in tests/."""
    return path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its tier, and start the tiers that run in a single process first."""
    for item in items:
        item.add_marker(tier_of(item.path))
    rank = {tier: number for number, tier in enumerate(SHARING)}
    items.sort(key=lambda item: rank.get(tier_of(item.path), len(rank)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the results of each tier and its duration. Parallel processes spend these seconds at the same time."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped", ""):  # "" contains the fixtures that passed
        for report in terminalreporter.stats.get(outcome, []):
            tier = report.nodeid.removeprefix("tests/").partition("/")[0]
            seconds[tier] += getattr(report, "duration", 0.0)
            if outcome:
                outcomes[tier][outcome] += 1
    if len(outcomes) < 2:
        return
    terminalreporter.section("tiers (CONTRIBUTING.md says what each needs)")
    terminalreporter.write_line(f"{'tests/':<14}{'seconds':>8}  outcomes")
    for tier, numbers in sorted(outcomes.items()):
        counted = ", ".join(f"{number:,} {outcome}" for outcome, number in numbers.items())
        terminalreporter.write_line(f"{tier:<14}{seconds[tier]:>8,.0f}  {counted}")
    terminalreporter.write_line("To run one tier: .venv/bin/python -m pytest tests/<tier>")


class ByFolder(LoadScopeScheduling):
    """Give each process of a parallel run (-n) whole tiers where they share something, and otherwise whole files.

    xdist's own groups have no effect under pytest 9, which no longer reads the test name that marks them.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        tier = tier_of(TESTS.parent / path)
        return tier if tier in SHARING else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    config.option.loadscopereorder = False  # keep our order, rather than sort files by their number of tests
    return ByFolder(config, log)
