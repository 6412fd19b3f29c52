"""`python -m bench.matrix`: compares the CPU time of `validate` for files of different shapes with the reference.

All shapes are measured in turn in each round, so that a slow minute affects all of them. The result for a shape is the
median of its ratios to the reference in the same round. A smaller file shows whether memory grows with the file.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine, ours
from bench.errors import BenchError
from bench.figures import MB, spread
from bench.matrix_data import REFERENCE, SHAPES, Case, make_case
from bench.process import OWN_PYTHON, ROOT, Sample, measure, run
from bench.report import table
from bench.session import folder

MOST_RATIO = 1.5
"""The most CPU time per MB that a shape may take, as a multiple of the reference."""

_PUBLISHED = ROOT / "bench" / "results" / "matrix.json"
_TRIED = ROOT / "build" / "bench" / "results" / "matrix.json"


@dataclass(frozen=True)
class Plan:
    """The number of rounds and the sizes of the files."""

    orders: int = 40_000
    growth: int = 8
    """How many times as large each file is as the one that it is compared with for memory."""
    rounds: int = 5


QUICK = Plan(orders=500, growth=2, rounds=1)
"""A plan to try out the matrix; its figures are not meaningful."""

Samples = Mapping[str, Sequence[Sample]]


def measure_matrix(plan: Plan) -> dict[str, Any]:
    """Measure every shape; returns the results as in matrix.json. Raises BenchError if a file is not valid."""
    cases = [make_case(shape, plan.orders) for shape in SHAPES]
    samples: dict[str, list[Sample]] = {}
    for number in range(plan.rounds):
        for case in cases[number % len(cases) :] + cases[: number % len(cases)]:
            _say(f"round {number + 1} of {plan.rounds}: {case.shape.says}")
            samples.setdefault(case.shape.name, []).append(validate(case))
    smaller: dict[str, Sample] = {}
    for shape in SHAPES:
        _say(f"a smaller file: {shape.says}")
        smaller[shape.name] = validate(make_case(shape, plan.orders // plan.growth))
    sizes = {case.shape.name: case.n_bytes for case in cases}
    return {"rounds": plan.rounds, "growth": plan.growth, "shapes": results(samples, sizes, smaller)}


def validate(case: Case) -> Sample:
    """Measure `validate` for one file in a new process. Raises BenchError if it rejects a record."""
    with folder("matrix") as s3:
        environment = {**ours.ENVIRONMENT, ours.FOLDER: str(s3), "CONTRACTS": str(case.contracts)}
        run([OWN_PYTHON, "-m", "bench.ours", "upload", case.path], environment)
        sample = measure([OWN_PYTHON, "-m", "bench.ours", "step", "validate"], environment)
        counts = json.loads(next(Path(s3).rglob("counts.json")).read_text("utf-8"))
    if counts["valid"] != case.records:
        raise BenchError(f"{case.shape.says}: {counts['valid']} of {case.records} records are valid.")
    return sample


def results(samples: Samples, sizes: Mapping[str, int], smaller: Mapping[str, Sample]) -> dict[str, Any]:
    """Return the figures of each shape: CPU per MB as a multiple of the reference, and peak memory in MB."""
    per_mb = {name: [one.cpu_seconds / sizes[name] * MB for one in found] for name, found in samples.items()}
    ratios = {
        name: [cpu / reference for cpu, reference in zip(found, per_mb[REFERENCE], strict=True)]
        for name, found in per_mb.items()
    }
    return {
        name: {
            "input_bytes": sizes[name],
            "cpu_ms_per_mb": spread([cpu * 1000 for cpu in per_mb[name]]),
            "ratio": spread(ratios[name]),
            "peak_rss_mb": round(max(one.peak_rss_bytes for one in found) / MB),
            "peak_rss_mb_of_smaller": round(smaller[name].peak_rss_bytes / MB),
        }
        for name, found in samples.items()
    }


def too_slow(shapes: Mapping[str, Any]) -> list[str]:
    """Return the shapes whose median ratio is above MOST_RATIO."""
    return [name for name, one in shapes.items() if one["ratio"]["median"] > MOST_RATIO]


def report(shapes: Mapping[str, Any]) -> str:
    """Return the table that a person reads."""
    rows = [
        [
            shape.says,
            f"{one['ratio']['median']:.2f} ×",
            f"{one['ratio']['min']:.2f} – {one['ratio']['max']:.2f}",
            str(one["peak_rss_mb"]),
            str(one["peak_rss_mb_of_smaller"]),
        ]
        for shape in SHAPES
        if (one := shapes.get(shape.name))
    ]
    return table(["validate", "CPU per MB", "rounds", "peak MB", "of a smaller file"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, or 1 if a measurement failed or a shape is too slow."""
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="small files, one round; written to build/bench/results")
    parser.add_argument("--orders", type=int, metavar="N", help=f"records of each file ({Plan.orders})")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"measurements per shape ({Plan.rounds})")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else Plan(options.orders or Plan.orders, rounds=options.rounds or Plan.rounds)
    try:
        found = measure_matrix(plan)
    except BenchError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    out = _TRIED if options.quick else _PUBLISHED
    out.parent.mkdir(parents=True, exist_ok=True)
    facts = {"commit": machine.commit(), "machine": machine.facts(), "versions": machine.versions()}
    out.write_text(json.dumps({**facts, **found}, indent=2) + "\n", "utf-8")
    print(report(found["shapes"]))
    slow = [] if options.quick else too_slow(found["shapes"])
    if slow:
        print(f"error: more than {MOST_RATIO} times the reference: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


def _say(what: str) -> None:
    print(f"· {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
