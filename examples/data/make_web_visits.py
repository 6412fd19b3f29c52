"""Generates the example files of the dataset web_visits, with the same bytes on every machine.

web_visits.jsonl contains valid visits, one per line. web_visits_mixed.json is one document; some of its visits violate
the contract, each in a different way, and one visit occurs twice. All visitors, sites and pages are invented.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import orjson

Visit = dict[str, Any]

HERE = Path(__file__).parent
_START = datetime(2026, 3, 2, tzinfo=UTC)
_ZONES = (UTC, timezone(timedelta(hours=1)), timezone(timedelta(hours=-3, minutes=-30)))
_PAGES = {
    "/": ("home",),
    "/tents": ("tents", "list"),
    "/tents/two-person": ("tents", "sale"),
    "/stoves/gas": ("stoves",),
    "/boots/größe-42": ("boots", "sale"),
    "/help": (),
}
_EVENTS = (("click", "gallery"), ("search", "sleeping bag"), ("play", None), ("download", "size-chart.pdf"))
_DEVICES = (("phone", "Firefox", (412, 915)), ("desktop", "Chrome", (1920, 1080)), ("tablet", "Safari", None))


def visits(count: int, seed: int) -> list[Visit]:
    """Return `count` valid visits, not sorted by start. Some visitors return."""
    return [_visit(Random(seed * 100_000 + number).random, f"w{seed}-{number:06}") for number in range(1, count + 1)]


def _visit(draw: Callable[[], float], visit_id: str) -> Visit:
    start = _START + timedelta(seconds=int(draw() * 30 * 86_400), milliseconds=int(draw() * 4) * 250)
    zone = _ZONES[int(draw() * len(_ZONES))]
    views, moment = [], start
    for number in range(1, 2 + int(draw() * draw() * 8)):
        view = _page_view(draw, number, moment.astimezone(zone))
        views.append(view)
        moment += timedelta(seconds=view["seconds"])
    kind, browser, screen = _DEVICES[int(draw() * len(_DEVICES))]
    device: dict[str, Any] = {"kind": kind, "browser": browser}
    if screen:
        device["screen"] = {"width": screen[0], "height": screen[1]}
    visit: Visit = {
        "visit_id": visit_id,
        "started_at": start.astimezone(zone).isoformat(),
        "logged_in": draw() < 0.3,
        "visitor": _visitor(draw),
        "device": device,
        "page_views": views,
    }
    if draw() < 0.8:
        visit["ended_at"] = moment.astimezone(zone).isoformat()
    if draw() < 0.6:
        visit["referrer"] = None if draw() < 0.2 else "search.example"
    return visit


def _page_view(draw: Callable[[], float], number: int, opened_at: datetime) -> dict[str, Any]:
    path, tags = list(_PAGES.items())[int(draw() * len(_PAGES))]
    view: dict[str, Any] = {
        "number": number,
        "path": path,
        "opened_at": opened_at.isoformat(),
        "seconds": int(draw() * draw() * 300),
        "scroll_depth": int(draw() * 10_001) / 10_000,
        "tags": list(tags),
    }
    if draw() < 0.9:
        view["load_seconds"] = None if draw() < 0.1 else int(draw() * 4_096) / 1_024
    if draw() < 0.7:
        view["events"] = [_event(draw) for _ in range(int(draw() * 4))]
    return view


def _event(draw: Callable[[], float]) -> dict[str, Any]:
    kind, target = _EVENTS[int(draw() * len(_EVENTS))]
    event: dict[str, Any] = {"kind": kind, "at_ms": int(draw() * 120_000)}
    return event if target is None else {**event, "target": target}


def _visitor(draw: Callable[[], float]) -> dict[str, Any]:
    number = 1 + int(draw() * draw() * 90)
    visitor: dict[str, Any] = {
        "visitor_id": f"u-{number:03}",
        "first_seen_on": (_START - timedelta(days=number)).date().isoformat(),
    }
    if draw() < 0.9:
        visitor["country"] = None if draw() < 0.2 else ("PT", "DE", "IN")[number % 3]
    if draw() < 0.8:
        visitor["consent"] = None if draw() < 0.2 else draw() < 0.7
    return visitor


def _without_device(visit: Visit) -> None:
    del visit["device"]


def _first_view(**changes: Any) -> Callable[[Visit], None]:
    return lambda visit: visit["page_views"][0].update(changes)


BROKEN: Mapping[int, tuple[str, Callable[[Visit], None]]] = {
    7: ("missing_field", _without_device),
    19: ("wrong_type", lambda visit: visit.update(logged_in="yes")),
    31: ("bad_format", lambda visit: visit["visitor"].update(first_seen_on="2026-02-30")),
    43: ("out_of_range", _first_view(scroll_depth=1.5)),
    55: ("bad_format", _first_view(tags=["sale", "Half Price"])),
    67: ("ends_before_it_starts", lambda visit: visit.update(ended_at="2026-01-31T23:59:59Z")),
    79: ("duplicate_tag", _first_view(tags=["sale", "sale"])),
}
"""The rejected visits of the mixed file by index: the reason, and the change that causes it."""


def mixed() -> list[Visit]:
    """Return 90 visits from another seed, with those of `BROKEN`, and a corrected copy of the first one at the end."""
    made = visits(89, seed=2)
    for place, (_, damage) in BROKEN.items():
        damage(made[place])
    return [*made, {**made[0], "logged_in": not made[0]["logged_in"]}]


def files() -> dict[str, bytes]:
    """Return the content of each file by name."""
    return {
        "web_visits.jsonl": b"".join(orjson.dumps(visit) + b"\n" for visit in visits(240, seed=1)),
        "web_visits_mixed.json": b'{"visits":[\n' + b",\n".join(map(orjson.dumps, mixed())) + b"\n]}\n",
    }


if __name__ == "__main__":
    for name, content in files().items():
        (HERE / name).write_bytes(content)
