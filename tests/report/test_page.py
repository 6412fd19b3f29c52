"""The page as text: all content passes through an escaping template, and the page needs no other file."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import structs

from functions.common.documents.chunk_counts import DriftCount, VersionCounts
from functions.common.documents.manifest import ByteCounts
from pipeline.inspect import report
from pipeline.inspect.batch_history.model import (
    BatchHistory,
    FileVersion,
    LoggedEvent,
    Outcome,
    Queued,
    Revision,
)
from pipeline.inspect.report.page import headline, render
from tests.report import stories

FOLDER = Path(report.__file__).parent
STORIES = {
    "published": stories.published(),
    "partly rejected": stories.partly_rejected(),
    "failed": stories.failed(),
    "failed by its rejects": stories.failed_by_rejects(),
}
BY_VERSION = {"1": VersionCounts(valid=90, rejected=3), "2": VersionCounts(valid=10, rejected=0)}
DRIFT = (
    DriftCount(contract_version=1, field="/gift", records=3, dropped=True),
    DriftCount(contract_version=2, field="", records=2, dropped=False),
    DriftCount(contract_version=2, field="/wrap", records=1, dropped=True, kept=True),
    DriftCount(contract_version=2, field="/has_more", records=1, dropped=True, in_envelope=True),
)
VALUES = ("Hanari Carnes", "mario@example.com", "Brazil", "1552.61", "half an order")


def page(story: BatchHistory, *, show_values: bool = False) -> str:
    return render(story, stories.WRITTEN, show_values=show_values)


class Reader(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_page_names_nothing_outside_but_the_console(story: BatchHistory) -> None:
    read = Reader(page(story))
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    addresses = [value for _, attributes in read.tags for name, value in attributes.items() if name in ("href", "src")]
    assert {address for address in addresses if address and not address.startswith("#")} == {story.console_url}
    [style] = re.findall(r"<style>(.*?)</style>", page(story), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert not any(
        "style" in attributes or any(name.startswith("on") for name in attributes) for _, attributes in read.tags
    )


def test_the_content_security_policy_allows_no_scripts_and_no_loading() -> None:
    html = page(stories.published())
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [meta["content"] for meta in Reader(html).all("meta") if "Policy" in (meta.get("http-equiv") or "")]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]


def test_templates_escape_all_text() -> None:
    for template in FOLDER.glob("templates/*jinja"):
        text = template.read_text()
        assert not re.search(r"\|\s*safe|autoescape|Markup", text), f"{template.name} turns escaping off"
    used = [module.name for module in FOLDER.glob("*.py") for _ in re.finditer(r"= ?Markup\(", module.read_text())]
    assert used == ["page.py"], "only the style sheet is taken as it is"


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_page(outcome: Outcome) -> None:
    nothing = replace(
        stories.published(),
        **{"outcome": outcome, "source": None, "uploaded": None, "executions": ()},
        **{"outputs": (), "manifest": None, "unknown": ("The log can't be read.",)},
    )
    for story in (nothing, replace(stories.partly_rejected(), outcome=outcome)):
        assert headline(story) in Reader(page(story)).text


def test_events_versions_and_fields_are_shown() -> None:
    story = stories.partly_rejected()
    assert story.manifest is not None
    assert story.source is not None
    when, other = stories.START, f"{stories.BATCH[:-1]}0"
    versions = (
        FileVersion("v2", when, 9, other, is_current=True, is_this=False, state="failed"),
        FileVersion("v1", when, 9, stories.BATCH, is_current=False, is_this=True, state="published"),
    )
    with_all_fields = replace(
        story,
        source=replace(story.source, corrects=other),
        heard=(
            LoggedEvent(when, "starter", True),
            LoggedEvent(when, "starter", False),
            LoggedEvent(when, "reconciler", True),
        ),
        queued=(Queued(when, "starter", "ThrottlingException"),),
        versions=versions,
        revisions=(
            Revision(1, stories.BATCH, "published", False),
            Revision(2, f"{stories.BATCH}-r2", "published", True),
        ),
        manifest=structs.replace(
            story.manifest,
            bytes=ByteCounts(received=2000, unreadable=7),
            records_by_version=BY_VERSION,
            drift=DRIFT,
        ),
        executions=(replace(story.executions[0], status="FAILED", error="NoticeError", redrives=1),),
    )
    text = " ".join(Reader(page(with_all_fields)).text.split())
    for part in (
        *(f"rejects of {other}", "S3's event arrived again, and started nothing", "never arrived, so the reconciler"),
        *(
            "In the failed-event queue since 2026-01-01 00:00:00 UTC, for starter: ThrottlingException",
            "failed, current",
        ),
        *(
            "the field was dropped",
            "the field was kept in _extra",
            "the member was not published",
            "the record was rejected",
            "/gift",
            "others",
            "2 (what readers get)",
            "(this page)",
        ),
        *("A later step failed: NoticeError", "redriven 1 time"),
        "7 of 2,000 bytes could not be read as records.",
    ):
        assert part in text, part


def test_values_are_masked_by_default() -> None:
    hidden, shown = (
        stories.partly_rejected(),
        replace(stories.partly_rejected(), rejects=stories.rejects(show_values=True)),
    )
    text = Reader(page(hidden)).text
    assert not [value for value in VALUES if value in text]
    assert f"pipeline report {stories.BATCH} --show-values shows them" in text
    text = Reader(page(shown, show_values=True)).text
    assert not [value for value in VALUES if value not in text]
    assert "--show-values" not in text
    assert "personal data" in text


def test_a_command_names_a_target_other_than_aws() -> None:
    story = replace(stories.partly_rejected(), target="local")
    assert "--show-values --target local shows them" in Reader(page(story)).text


def test_the_two_sums_of_the_balance_are_checked() -> None:
    story = stories.partly_rejected()
    assert story.manifest is not None
    text = " ".join(Reader(page(story)).text.split())
    assert "It adds up: 103 received = 100 valid + 3 rejected" in text
    assert "It adds up: 100 valid = 99 published + 1 superseded" in text
    wrong = structs.replace(story.manifest, counts=structs.replace(story.manifest.counts, rejected=4))
    assert "It does not add up: 103 received" in " ".join(Reader(page(replace(story, manifest=wrong))).text.split())


def test_each_state_s_outcome_is_in_the_text_too() -> None:
    read = Reader(page(stories.failed()))
    assert "Write: failed, 7 tries." in read.text
    assert "Published: not reached." in read.text
    [drawing] = [svg for svg in read.all("svg") if svg.get("role") == "img"]
    assert drawing["aria-labelledby"] == "drawing-title drawing-text"
