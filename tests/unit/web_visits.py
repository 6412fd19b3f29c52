"""Visits for the tests: a plain one, and the tables that visits must become, in plain Python."""

from collections.abc import Iterable
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

from functions.common.contract import load_contract
from pipeline import ROOT
from tests.unit.orders import exact, utc

Visit = dict[str, Any]

EXAMPLES = ROOT / "examples"
CONTRACTS = EXAMPLES / "contracts"
CONTRACT = load_contract("web_visits", CONTRACTS)
GOOD: Path = EXAMPLES / "data" / "web_visits.jsonl"
MIXED: Path = EXAMPLES / "data" / "web_visits_mixed.json"

PLAIN, SHORT = CONTRACT.current.schema["examples"]
"""A visit with every field, and one with only the required fields."""


def visit(**changes: Any) -> Visit:
    """The plain visit, with some members changed."""
    return deepcopy(PLAIN) | changes


def page_view(**changes: Any) -> dict[str, Any]:
    """Its second page view, with some members changed."""
    return deepcopy(PLAIN["page_views"][1]) | changes


def tables(records: Iterable[Visit]) -> dict[str, list[dict[str, Any]]]:
    """The expected rows of each table, without the lineage, for valid visits in the order of their file."""
    last = {record["visit_id"]: (position, record) for position, record in enumerate(records)}
    latest: dict[str, tuple[datetime, int, dict[str, Any]]] = {}
    for position, record in last.values():
        candidate = (utc(record["started_at"]), position, record["visitor"])
        known = latest.get(record["visitor"]["visitor_id"])
        if known is None or candidate[:2] > known[:2]:
            latest[record["visitor"]["visitor_id"]] = candidate
    newest = [last[key][1] for key in sorted(last)]
    views = [
        (record["visit_id"], view)
        for record in newest
        for view in sorted(record["page_views"], key=lambda view: int(view["number"]))
    ]
    return {
        "visits": [_visit_row(record) for record in newest],
        "page_views": [_page_view_row(visit_id, view) for visit_id, view in views],
        "page_view_tags": [
            {"visit_id": visit_id, "number": view["number"], "tag": tag}
            for visit_id, view in views
            for tag in sorted(view["tags"])
        ],
        "events": [
            {"visit_id": visit_id, "number": view["number"], "event_number": number, **_event_row(event)}
            for visit_id, view in views
            for number, event in enumerate(view.get("events", []), 1)
        ],
        "visitors": [_visitor_row(latest[key][2], latest[key][0]) for key in sorted(latest)],
    }


def _visit_row(record: Visit) -> dict[str, Any]:
    ended_at, screen = record.get("ended_at"), record["device"].get("screen", {})
    return {
        "visit_id": record["visit_id"],
        "visitor_id": record["visitor"]["visitor_id"],
        "started_at": utc(record["started_at"]),
        "ended_at": utc(ended_at) if ended_at else None,
        "logged_in": record["logged_in"],
        "referrer": record.get("referrer"),
        "device": record["device"]["kind"],
        "browser": record["device"]["browser"],
        "screen_width": screen.get("width"),
        "screen_height": screen.get("height"),
        "view_count": len(record["page_views"]),
        "seconds_viewed": sum(view["seconds"] for view in record["page_views"]),
    }


def _page_view_row(visit_id: str, view: dict[str, Any]) -> dict[str, Any]:
    return {
        "visit_id": visit_id,
        "number": view["number"],
        "path": view["path"],
        "opened_at": utc(view["opened_at"]),
        "seconds": view["seconds"],
        "load_seconds": view.get("load_seconds"),
        "scroll_depth": exact(view["scroll_depth"]),
        "event_count": len(view.get("events", [])),
    }


def _event_row(event: dict[str, Any]) -> dict[str, Any]:
    return {"kind": event["kind"], "target": event.get("target"), "at_ms": event["at_ms"]}


def _visitor_row(visitor: dict[str, Any], last_visit_at: datetime) -> dict[str, Any]:
    return {
        "visitor_id": visitor["visitor_id"],
        "first_seen_on": date.fromisoformat(visitor["first_seen_on"]),
        "country": visitor.get("country"),
        "consent": visitor.get("consent"),
        "last_visit_at": last_visit_at,
    }
