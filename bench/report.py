"""Formats the results as the text that `make bench` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.ours import FUNCTIONS
from bench.subjects import FLOOR, PEERS

_SPEED = ("MB/CPU-s", "CPU s (spread)", "wall s", "start s", "peak MB")


def report(results: Mapping[str, Any]) -> str:
    """Return text with all figures of the results, as tables with units."""
    blocks = [_headline(results), _steps(results), _peers(results), _latency(results), _notes(results)]
    return "\n\n".join(blocks) + "\n"


def _headline(results: Mapping[str, Any]) -> str:
    machine, inputs, load = results["machine"], results["inputs"], results["load"]
    sizes = ", ".join(f"{name} {one['orders']:,} orders, {one['bytes'] / 1e6:,.0f} MB" for name, one in inputs.items())
    return (
        f"{results['date']} · medians of {results['rounds']} · {machine['cores']} × {machine['processor']}, "
        f"Python {machine['python']}\nload before {load['before']}, after {load['after']} · inputs: {sizes}"
    )


def _steps(results: Mapping[str, Any]) -> str:
    detail = results["detail"]
    places = {
        **{f"{name} file, local": steps for name, steps in detail["local"].items()},
        "reference file, S3 endpoint": detail["s3_endpoint"],
    }
    rows = [
        [place, step, *_speed(one), f"{one['cpu_seconds_per_gb']:.1f}"]
        for place, steps in places.items()
        for step, one in steps.items()
    ]
    return table(["the pipeline, in one chunk", "step", *_SPEED, "CPU s/GB"], rows)


def _peers(results: Mapping[str, Any]) -> str:
    detail, ratio = results["detail"], results["ratio"]
    rows = [["the pipeline", *_speed(detail["local"]["reference"]["total"]), ""]]
    for subject in PEERS:
        title = subject.title if subject.share == 1 else f"{subject.title} ¹"
        rows.append([title, *_speed(detail["peers"][subject.name]), f"{ratio[subject.name]:.2f} ×"])
    rows += [[f"floor: {subject.title}", *_speed(detail["floor"][subject.name]), ""] for subject in FLOOR]
    return table(["reference file, local", *_SPEED, "ours to it"], rows)


def _speed(one: Mapping[str, Any]) -> list[str]:
    cpu = one["cpu_seconds"]
    return [
        f"{one['mb_per_cpu_second']:,.1f}",
        f"{cpu['median']:.2f} ({cpu['min']:.2f}–{cpu['max']:.2f})",
        f"{one['wall_seconds']:.2f}",
        f"{one['startup_cpu_seconds']:.2f}",
        f"{one['peak_rss_mb']:.0f}",
    ]


def _latency(results: Mapping[str, Any]) -> str:
    cold, warm = results["cold_start_ms"], results["warm_100_orders_ms"]
    rows = [
        [function, *(_spread(kind.get(function)) for kind in (cold["venv"], cold["zip"], warm["wall"], warm["cpu"]))]
        for function in (*FUNCTIONS, "total")
    ]
    head = ["milliseconds (spread)", "cold, .venv", "cold, as packed", "100 orders, warm", "of it own CPU"]
    return table(head, rows)


def _spread(one: Mapping[str, float] | None) -> str:
    return f"{one['median']:.0f} ({one['min']:.0f}–{one['max']:.0f})" if one else ""


def _notes(results: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{one.title} on {one.share:.0%} of the orders" for one in PEERS if one.share < 1)
    each = "\n".join(f"  {one.title}: without {one.leaves_out}. One thread: {one.one_thread}." for one in PEERS)
    return (
        "MB is 10⁶ bytes of input. CPU is user and system time of the work, all threads, in a fresh process;\n"
        "the start of the process (start s) is not included. Peaks are the highest of all rounds. Warm: the\n"
        "handlers in one process, against a local S3 endpoint with TLS, including its responses. Cold: from the first\n"
        "import until the clients are created, from .venv and from the unpacked zips.\n"
        f"¹ {shares}: the whole file would take minutes.\n"
        "The pipeline validates, writes Parquet, CSV, rejects and a manifest. The others write Parquet, and do it\n"
        f"{each}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table of text. Columns of numbers are aligned to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    is_text = [not any(row[at][:1].isdigit() for row in rows) for at in range(len(head))]
    lines = []
    for row in (head, ["─" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(row, widths, is_text, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
