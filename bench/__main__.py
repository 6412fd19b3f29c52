"""Runs the benchmark, prints the tables, and writes latest.json and the pictures (`python -m bench`)."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.errors import BenchError
from bench.figures import results
from bench.picture import pictures
from bench.process import ROOT
from bench.report import report
from bench.session import QUICK, Plan, measure_all
from bench.subjects import FLOOR, PEERS

PUBLISHED = ROOT / "bench" / "results"
"""The folder of the committed results, from the last published run."""

TRIED = ROOT / "build" / "bench" / "results"
"""The folder of results from quick runs, whose figures are not meaningful."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return 0 and write results, or return 1 if a measurement failed, or 130 after Ctrl-C."""
    options = _options(arguments)
    out: Path = options.out or (TRIED if options.quick else PUBLISHED)
    begun, load = datetime.now(UTC), machine.load()
    try:
        measured, inputs = measure_all(_plan(options))
    except BenchError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing was written.", file=sys.stderr)
        return 130
    found = {
        "date": begun.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": machine.commit(),
        "rounds": _plan(options).rounds,
        "duration_seconds": round((datetime.now(UTC) - begun).total_seconds()),
        "machine": machine.facts(),
        "load": {"before": load, "after": machine.load()},
        "versions": machine.versions(),
        "inputs": {name: {"orders": one.orders, "bytes": one.n_bytes} for name, one in inputs.items()},
        **results(measured),
        "subjects": {one.name: one.said() for one in (*PEERS, *FLOOR)},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for name, svg in pictures(found).items():
        (out / name).write_text(svg, "utf-8")
    print(report(found))
    print(f"Written to {out.relative_to(ROOT) if out.is_relative_to(ROOT) else out}.")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="use small files, one round, and build/bench/results")
    parser.add_argument("--orders", type=int, metavar="N", help=f"orders in the reference file ({Plan.orders})")
    parser.add_argument("--big-orders", type=int, metavar="N", help=f"orders in the big file ({Plan.big_orders})")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"number of measurements per subject ({Plan.rounds})")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder for the results (bench/results)")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    given = {"orders": options.orders, "big_orders": options.big_orders, "rounds": options.rounds}
    return replace(QUICK if options.quick else Plan(), **{name: n for name, n in given.items() if n})


if __name__ == "__main__":
    sys.exit(main())
