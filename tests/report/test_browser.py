"""The page in a real browser: it loads nothing, fits a phone, can be read in both colour schemes and used by keyboard,
and shows all content of a record as text.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from functions.common.execution_history.model import Ended
from pipeline.inspect.batch_history.model import Action, BatchHistory, Output, Problem
from pipeline.inspect.batch_history.rejects import read_rejects
from pipeline.inspect.report.page import headline, render
from tests.report import stories
from tests.unit import histories

NARROW, WIDE = {"width": 360, "height": 640}, {"width": 1280, "height": 900}
A4 = {"width": 718, "height": 1047}
"""The page inside usual margins, at 96 pixels per inch."""

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</style></title></pre></svg><h1 id=owned>x",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "\u202egnirts siht\u202c \u2066\u2069\x00\x1b[2J\u200f",
    "x" * 400,
    "https://example.com/" + "y/" * 100,
)


def hostile() -> BatchHistory:
    """A history in which every string from outside is an attack."""
    evil = " ".join(HOSTILE)
    story, source = stories.failed_by_rejects(), stories.partly_rejected().source
    assert source is not None
    problems = [Problem(evil, f"/{evil}", evil, evil)]
    lines = [
        stories.reject(
            1, problems, b'{"a": "<img src=x onerror=1>", "b</pre><script>": ["\\u202e", "%s"]}' % (b"z" * 500)
        ),
        stories.reject(2, problems, evil.encode(), readable=False),
    ]
    run = replace(story.executions[0], error=evil, cause=evil)
    return replace(
        story,
        source=replace(source, key=f"incoming/orders/{evil}", version_id=evil),
        executions=(run,),
        rejects=read_rejects(evil, lines, show_values=True),
        outputs=(Output("t", "csv", evil, 1, 1),),
        unknown=(evil,),
        actions=(Action(evil, f"pipeline replay '{evil}'"),),
    )


def many_tries() -> BatchHistory:
    """A history whose states have the longest text below their names."""
    story = stories.failed()
    run = story.executions[-1]
    steps = tuple(replace(step, outcome=Ended.SUCCEEDED, tries=step.tries * 14) for step in run.steps)
    return replace(story, executions=(replace(run, steps=steps),))


UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"

STORIES: dict[str, Callable[[], BatchHistory]] = {
    "published": stories.published,
    "partly rejected": stories.partly_rejected,
    "large": stories.large,
    "failed": stories.failed,
    "failed by its rejects": stories.failed_by_rejects,
    "of a fork": stories.of_a_fork,
    "hostile": hostile,
}


class Opened:
    """A page in the browser, and its forbidden actions."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a story. After the test, the page must not have loaded anything else."""
    opened: list[Opened] = []

    def open_one(name: str, **context: Any) -> Opened:
        story, path = STORIES[name](), tmp_path / f"{len(opened)}.html"
        path.write_text(render(story, stories.WRITTEN), "utf-8")
        opened.append(Opened(browser, path, **context))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()
        assert one.faults == []
        assert [url for url in one.requests if not url.startswith("file://")] == []
        assert len(one.requests) == 1


@pytest.mark.parametrize("name", STORIES)
def test_the_page_shows_the_outcome(open_page: Open, name: str) -> None:
    page = open_page(name, viewport=WIDE).page
    assert page.locator("h1").inner_text() == headline(STORIES[name]())
    titles = page.locator("h2").all_inner_texts()
    assert titles[:2] == ["What to do next", "The execution"]
    assert ("Balance" in titles) == (name in ("published", "partly rejected", "large", "of a fork"))
    assert ("The rejects, by rule" in titles) == (name not in ("published", "large", "failed", "of a fork"))
    boxes = page.locator("section, header, figure, table").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(boxes) > 0


def test_every_line_leads_from_its_state_to_its_target_and_through_no_other(open_page: Open) -> None:
    page = open_page("published", viewport=WIDE).page
    wrong = page.locator("svg.drawing .line[data-from]").evaluate_all(
        """all => all.flatMap(line => {
            const box = name => document.querySelector(`[data-state=${name}] .box`).getBBox();
            const touches = (area, point, by) => point.x >= area.x - by && point.x <= area.x + area.width + by
                && point.y >= area.y - by && point.y <= area.y + area.height + by;
            const {from, to} = line.dataset, length = line.getTotalLength(), found = [];
            if (!touches(box(from), line.getPointAtLength(0), .1)) found.push(`does not begin at ${from}`);
            if (!touches(box(to), line.getPointAtLength(length), .1)) found.push(`does not end at ${to}`);
            for (const state of document.querySelectorAll('svg.drawing .state:not(.frame)'))
                for (let at = 1; at < length - 1; at++)
                    if (touches(state.querySelector('.box').getBBox(), line.getPointAtLength(at), -.5)) {
                        found.push(`runs through ${state.dataset.state}`);
                        break;
                    }
            return found.map(one => `${from} to ${to} ${one}`);
        })"""
    )
    assert wrong == []


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_label_fits_into_its_state(
    open_page: Open, viewport: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STORIES, "many tries", many_tries)
    for name in ("large", "partly rejected", "failed", "many tries"):
        page = open_page(name, viewport=viewport).page
        outside = page.locator("svg.drawing .state").evaluate_all(
            """all => all.filter(state => {
                const box = state.querySelector('.box').getBBox();
                return [...state.querySelectorAll('text')].some(text => {
                    const label = text.getBBox();
                    const [right, below] = [box.x + box.width, box.y + box.height];
                    return label.x < box.x || label.x + label.width > right || label.y + label.height > below;
                });
            }).map(state => state.textContent)"""
        )
        assert outside == []


@pytest.mark.parametrize("name", STORIES)
def test_nothing_is_wider_than_a_phone(open_page: Open, name: str) -> None:
    page = open_page(name, viewport=NARROW).page
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    wider = page.locator("body *:not(.scroll *):not(.skip):not(.hidden)").evaluate_all(
        """all => all.filter(one => one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert wider == []


def test_a_command_is_cut_between_words_where_it_is_wider_than_a_phone(open_page: Open) -> None:
    page = open_page("partly rejected", viewport=NARROW).page
    commands = [action.command for action in stories.partly_rejected().actions if action.command]
    assert page.locator(".command").all_inner_texts() == commands, "and is copied as it is"
    cut = page.locator(".command").evaluate_all(
        """all => all.flatMap(command => {
            const cut = [];
            const words = document.createTreeWalker(command, NodeFilter.SHOW_TEXT);
            for (let text; text = words.nextNode();) {
                for (const found of text.data.matchAll(/[^ ]+/g)) {
                    const range = document.createRange();
                    range.setStart(text, found.index);
                    range.setEnd(text, found.index + found[0].length);
                    const lines = new Set([...range.getClientRects()].map(one => Math.round(one.top)));
                    if (lines.size > 1) cut.push(found[0]);
                }
            }
            return cut;
        })"""
    )
    assert set(cut) <= {stories.BATCH}, "which is itself wider"


def test_a_file_of_many_chunks_takes_few_screens_of_a_phone(open_page: Open) -> None:
    page = open_page("large", viewport=NARROW).page
    assert page.locator(".timeline").bounding_box()["height"] < NARROW["height"]  # type: ignore[index]


def test_captions_of_wide_tables_are_read_without_scrolling(open_page: Open) -> None:
    page = open_page("large", viewport=NARROW).page
    boxes = [one.bounding_box() for one in page.locator("caption:not(.hidden)").all()]
    assert boxes
    assert [box for box in boxes if box is None or box["x"] + box["width"] > NARROW["width"]] == []


CONTRAST = """() => {
    const channels = text => text.match(/[\\d.]+/g).map(Number);
    const over = (top, below) => {
        const alpha = top.length > 3 ? top[3] : 1;
        return [0, 1, 2].map(at => top[at] * alpha + below[at] * (1 - alpha));
    };
    const light = colour => {
        const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map(value => linear(value / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = element => {
        const state = element.closest('.state');
        if (state) return channels(getComputedStyle(state.querySelector('.box')).fill);
        for (let one = element; one; one = one.parentElement) {
            const colour = channels(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
        const ownText = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!ownText || !element.getClientRects().length || element.closest('title, desc')) continue;
        const style = getComputedStyle(element);
        const below = background(element).slice(0, 3);
        const ink = over(channels(element.closest('svg') ? style.fill : style.color), below);
        const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
        found.push([(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 60)]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["published", "partly rejected", "failed"])
def test_all_text_has_enough_contrast(open_page: Open, name: str, scheme: Any) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    page = open_page(name, color_scheme=scheme).page
    page.evaluate(UNFOLD)
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 50
    assert [(round(ratio, 2), text) for ratio, text in ratios if ratio < 4.5] == []
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(251, 251, 249)"
    assert is_dark == (scheme == "dark")


def test_markup_in_a_record_is_shown_as_text(open_page: Open) -> None:
    page = open_page("hostile", viewport=WIDE).page
    page.evaluate(UNFOLD)
    assert page.locator("script, img, #owned, iframe, b:text('&')").count() == 0
    assert page.title().startswith("failed: incoming/orders/<script>")
    text = page.locator("main").inner_text()
    for attack in (*HOSTILE[:5], HOSTILE[6]):
        assert attack in text, attack
    assert "49" not in page.locator(".cause").first.inner_text()
    steering = [sign for sign in "\u202e\u202c\u2066\u2069\u200f\x00\x1b" if sign in page.content()]
    assert steering == [], "what turns the direction of text, or a terminal's, is replaced"
    assert "\ufffdgnirts siht" in text


def test_tab_reaches_everything_in_the_order_of_the_page(open_page: Open) -> None:
    page = open_page("partly rejected", viewport=NARROW).page
    wanted = page.locator("a[href], summary, [tabindex='0']").evaluate_all(
        "all => all.filter(one => one.checkVisibility()).map((one, at) => (one.dataset.at = at))"
    )
    reached = []
    for _ in wanted:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("Number(document.activeElement.dataset.at)"))
        if len(reached) > 1:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", "the focus can't be seen"
    assert reached == wanted
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("Number(document.activeElement.dataset.at)") == wanted[-2]


def test_keys_open_details_and_skip_to_the_content(open_page: Open) -> None:
    page = open_page("partly rejected").page
    page.keyboard.press("Tab")
    assert page.locator(".skip").evaluate("one => one.getBoundingClientRect().left") >= 0, "shown when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    samples = page.locator("#rejects details").first
    samples.locator("summary").focus()
    page.keyboard.press("Enter")
    assert samples.evaluate("one => one.open")
    assert samples.locator("pre").first.is_visible()


def test_screen_readers_find_headings_names_and_tables(open_page: Open) -> None:
    page = open_page("partly rejected").page
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("[role=region]:not([aria-label])").count() == 0
    assert page.locator("svg:not([aria-hidden]):not([aria-labelledby])").count() == 0
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    targets = page.locator("a[href^='#']").evaluate_all("all => all.map(one => one.hash.slice(1))")
    assert set(targets) <= set(ids)


def test_the_printed_page_is_complete_and_white(open_page: Open) -> None:
    page = open_page("partly rejected", color_scheme="dark", viewport=A4).page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= A4["width"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.locator("#rejects pre").first.evaluate("one => one.getBoundingClientRect().height") > 0


def test_a_running_execution_is_drawn_as_such(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    story = stories.partly_rejected()
    run = stories.execution(histories.troubled()[:-12], "RUNNING", stopped=None, cost=None)
    running = replace(story, outcome=story.outcome.RUNNING, executions=(run,), manifest=None, outputs=(), rejects=None)
    monkeypatch.setitem(STORIES, "running", lambda: running)
    page = open_page("running").page
    assert page.locator(".state.look-running").count() == 1
    assert page.locator("h1").inner_text() == "The execution is running"
