"""Checks the documents, as part of `make check`: lengths, links, and whether generated pages are current."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from generate import pages  # the sibling module: this script is run by its path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README_WORDS, PAGE_WORDS, DOCS_WORDS = 1_200, 2_500, 20_000
LINE = 120
_CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def problems() -> Iterator[str]:
    """Each fault of the documents, with what to do about it."""
    generated = pages()
    for page, content in generated.items():
        if not page.is_file() or page.read_text("utf-8") != content:
            yield f"{_name(page)} is out of date: run make fmt."
    written = [page for page in _pages() if page not in generated]
    for page in written:
        yield from _long_lines(page)
        most = README_WORDS if page.name == "README.md" and page.parent == ROOT else PAGE_WORDS
        if (words := _words(page)) > most:
            yield f"{_name(page)} has {words} words, more than {most}: shorten it, or split it."
    counted = sum(_words(page) for page in written if DOCS in page.parents and page.parent.name != "adr")
    if counted > DOCS_WORDS:
        yield f"docs/ has {counted} words without docs/adr/ and generated pages, more than {DOCS_WORDS}: shorten it."
    for page in _pages():
        yield from _broken_links(page)


def _pages() -> list[Path]:
    names = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    return [
        *(ROOT / name for name in names),
        *sorted(DOCS.rglob("*.md")),
        ROOT / "bench" / "README.md",
        *sorted(ROOT.glob("changes/*.md")),
    ]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _words(page: Path) -> int:
    """Words, counted as `wc -w` does."""
    return len(page.read_text("utf-8").split())


def _long_lines(page: Path) -> Iterator[str]:
    """Lines that are too long, outside of code blocks, tables and headings, which Markdown can't wrap."""
    text = _CODE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text("utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE and not line.lstrip().startswith(("|", "#")) and " " in line.strip():
            yield f"{_name(page)}:{number} has {len(line)} characters, more than {LINE}: wrap it."


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, link: str) -> bool:
    """Whether a relative link of a page leads nowhere."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return True
    return bool(anchor) and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8"))


def _broken_links(page: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", _CODE.sub("", page.read_text("utf-8"))):
        address = link[0] or link[1]
        if not re.match(r"[a-z]+:", address) and broken(page, address):
            yield f"{_name(page)} links to {address}, which does not exist."


if __name__ == "__main__":
    found = list(problems())
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(bool(found))
