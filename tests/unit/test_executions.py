"""Executions in the order of ListExecutions: ended ones by their end, running ones by their start."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.common import executions

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def listed(**hours: tuple[float, ...]) -> Any:
    """A client that lists executions, which began and ended some hours ago, in the order of AWS, two per page."""
    found = [
        {"name": name, "startDate": NOW - ago[0] * HOUR, **({"stopDate": NOW - ago[1] * HOUR} if ago[1:] else {})}
        for name, ago in hours.items()
    ]
    found.sort(key=lambda one: one.get("stopDate", one["startDate"]), reverse=True)
    pages = [{"executions": found[at : at + 2]} for at in range(0, len(found), 2)]
    return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: iter(pages)))


CASES = {
    "of_those_that_began_before_and_ended_since_others_are_not_hidden": (
        {"long": (6, 1), "younger": (4, 3), "old": (7, 6)},
        {"younger"},
        {"long", "younger"},
    ),
    "what_runs_counts_by_its_start": ({"runs": (2,), "stuck": (9,), "between": (8, 3)}, {"runs"}, {"runs", "between"}),
    "on_the_very_time": ({"then": (5, 5), "before": (5.001, 5.001)}, {"then"}, {"then"}),
    "none": ({}, set(), set()),
}


@pytest.mark.parametrize(("hours", "started", "changed"), CASES.values(), ids=CASES)
def test_executions_that_started_or_ended_since_a_time_are_found(
    hours: Any, started: set[str], changed: set[str]
) -> None:
    client, since = listed(**hours), NOW - 5 * HOUR
    assert {one["name"] for one in executions.started_since(client, "machine", since)} == started
    assert {one["name"] for one in executions.changed_since(client, "machine", since)} == changed


def test_the_listing_is_read_no_further_than_needed() -> None:
    client = listed(new=(1, 1), old=(7, 6), older=(9, 8), oldest=(9, 9))
    pages = client.get_paginator("").paginate()
    client.get_paginator = lambda _: SimpleNamespace(paginate=lambda **_: pages)
    assert [one["name"] for one in executions.changed_since(client, "machine", NOW - 5 * HOUR)] == ["new"]
    assert len(list(pages)) == 1, "the next page was not requested"
