"""Draws a chart of the speeds as SVG, for light and for dark pages, without scripts or external fonts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from bench.subjects import PEERS

_WIDTH, _MARGIN, _BARS = 880, 20, 244
"""The width of the picture, its margin, and the left edge of the bars, in pixels."""
_LONGEST = _WIDTH - _BARS - _MARGIN - 50
_TOP, _ROW, _BAR, _BOTTOM = 78, 52, 20, 58
_FONT = "-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class _Colours:
    page: str
    text: str
    muted: str
    ours: str
    others: str


_SCHEMES = {
    "light": _Colours(page="#ffffff", text="#1f2328", muted="#59636e", ours="#0969da", others="#b6bfc9"),
    "dark": _Colours(page="#0d1117", text="#e6edf3", muted="#9198a1", ours="#4493f8", others="#4a525c"),
}


@dataclass(frozen=True)
class Bar:
    """One bar of the picture."""

    title: str
    speed: float
    """The speed in MB of input per CPU-second."""
    remark: str
    is_ours: bool = False


def bars(results: Mapping[str, Any]) -> list[Bar]:
    """Return the bars of the pipeline and its peers, fastest first."""
    ours = Bar(
        "this pipeline",
        results["mb_per_cpu_second"]["total"],
        "validates, rejects with reasons, exact decimals, Parquet and CSV, reconciliation",
        is_ours=True,
    )
    peers = results["detail"]["peers"]
    others = [Bar(one.title, peers[one.name]["mb_per_cpu_second"], f"without {one.leaves_out}") for one in PEERS]
    return sorted([ours, *others], key=lambda bar: -bar.speed)


def pictures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the SVG for each colour scheme by file name."""
    reference, floor = results["inputs"]["reference"], results["floor_mb_per_cpu_second"]
    shares = "".join(f" {one.title} on {one.share:.0%} of the orders." for one in PEERS if one.share < 1)
    size = f"{reference['orders']:,} orders, {reference['bytes'] / 1e6:,.0f} MB of JSON Lines"
    notes = (
        f"{size} from local files, one thread; medians of {results['rounds']}, {results['date'][:10]}.",
        f"Upper bounds on this machine: orjson.loads of each line {_number(floor['orjson'])}, "
        f"reading the bytes {_number(floor['read'])}.{shares}",
    )
    return {f"speed-{name}.svg": _svg(bars(results), notes, colours) for name, colours in _SCHEMES.items()}


def _svg(rows: list[Bar], notes: tuple[str, ...], colours: _Colours) -> str:
    height = _TOP + _ROW * len(rows) + _BOTTOM
    scale = _LONGEST / max(row.speed for row in rows)
    spoken = "; ".join(f"{row.title} {_number(row.speed)}" for row in rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="{_FONT}" role="img" aria-labelledby="title">',
        f'<title id="title">MB of JSON per CPU-second: {escape(spoken)}</title>',
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="{colours.page}"/>',
        _text(_MARGIN, 34, 18, colours.text, "MB of JSON converted to tables per CPU-second", weight=600),
        _text(_MARGIN, 56, 13, colours.muted, "Longer bars are faster. Below each bar is what the tool does not do."),
    ]
    for number, row in enumerate(rows):
        lines += _row(row, _TOP + _ROW * number, scale, colours)
    for number, note in enumerate(notes):
        lines.append(_text(_MARGIN, height - 34 + 18 * number, 12, colours.muted, note))
    return "\n".join([*lines, "</svg>", ""])


def _row(row: Bar, top: int, scale: float, colours: _Colours) -> list[str]:
    length = max(2.0, row.speed * scale)
    fill, weight = (colours.ours, 600) if row.is_ours else (colours.others, 400)
    return [
        _text(_BARS - 12, top + 15, 14, colours.text, row.title, weight=weight, anchor="end"),
        f'<rect x="{_BARS}" y="{top}" width="{length:.1f}" height="{_BAR}" rx="3" fill="{fill}"/>',
        _text(_BARS + length + 8, top + 15, 14, colours.text, _number(row.speed), weight=600),
        _text(_BARS, top + 36, 12, colours.muted, row.remark),
    ]


def _text(x: float, y: int, size: int, fill: str, text: str, *, weight: int = 400, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.0f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _number(speed: float) -> str:
    return f"{speed:,.1f}" if speed < 100 else f"{speed:,.0f}"
