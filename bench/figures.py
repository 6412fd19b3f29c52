"""Calculates figures from samples: medians, spreads, sums and ratios.

For input and memory, MB is 10⁶ bytes and GB is 10⁹ bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.process import Sample

MB, GB = 10**6, 10**9
TOTAL = "total"


@dataclass(frozen=True)
class Series:
    """Samples of the same work on the same input, one per round."""

    n_bytes: int
    """The size of the input in bytes."""
    samples: Sequence[Sample]

    @property
    def cpu_seconds(self) -> float:
        return median(sample.cpu_seconds for sample in self.samples)

    @property
    def mb_per_cpu_second(self) -> float:
        return self.n_bytes / MB / self.cpu_seconds

    @property
    def cpu_seconds_per_gb(self) -> float:
        return self.cpu_seconds / (self.n_bytes / GB)

    @property
    def wall_seconds(self) -> float:
        return median(sample.wall_seconds for sample in self.samples)

    @property
    def peak_rss_mb(self) -> float:
        """The highest peak of all rounds, because memory limits apply to the worst case."""
        return max(sample.peak_rss_bytes for sample in self.samples) / MB

    def detail(self) -> dict[str, Any]:
        """Return all figures of the series by name, rounded as in the results."""
        cpu = [sample.cpu_seconds for sample in self.samples]
        return {
            "input_bytes": self.n_bytes,
            "rounds": len(self.samples),
            "mb_per_cpu_second": _round(self.mb_per_cpu_second),
            "cpu_seconds_per_gb": _round(self.cpu_seconds_per_gb),
            "cpu_seconds": {"median": _round(median(cpu)), "min": _round(min(cpu)), "max": _round(max(cpu))},
            "wall_seconds": _round(self.wall_seconds),
            "peak_rss_mb": _round(self.peak_rss_mb),
            "startup_cpu_seconds": _round(median(sample.startup_cpu_seconds for sample in self.samples)),
        }


def with_total(steps: Mapping[str, Series]) -> dict[str, Series]:
    """Return the steps and `total`, which has the sum of their times in each round, and the highest peak of a step."""
    rounds = zip(*(series.samples for series in steps.values()), strict=True)
    first = next(iter(steps.values()))
    return {**steps, TOTAL: Series(first.n_bytes, [_one_after_the_other(samples) for samples in rounds])}


def _one_after_the_other(samples: Sequence[Sample]) -> Sample:
    return Sample(
        cpu_seconds=sum(sample.cpu_seconds for sample in samples),
        wall_seconds=sum(sample.wall_seconds for sample in samples),
        peak_rss_bytes=max(sample.peak_rss_bytes for sample in samples),
        startup_cpu_seconds=sum(sample.startup_cpu_seconds for sample in samples),
        rows=samples[-1].rows,
    )


@dataclass(frozen=True)
class Measured:
    """All measurements of a run. The steps have no total, which `results` adds."""

    local: Mapping[str, Mapping[str, Series]]
    """The series by input (`reference`, `big`) and step, measured with a folder in place of S3."""
    endpoint: Mapping[str, Series]
    """The series by step for the reference file, measured with a local S3 server in another process."""
    peers: Mapping[str, Series]
    floor: Mapping[str, Series]
    cold_start_ms: Mapping[str, Mapping[str, Sequence[float]]]
    """The milliseconds of each start, by kind of environment and function."""
    warm_ms: Mapping[str, Mapping[str, Sequence[float]]]
    """The milliseconds of each run, by `wall` or `cpu`, and by function."""


def results(measured: Measured) -> dict[str, Any]:
    """Return the results as they are in latest.json, without the description of the run."""
    local = {name: with_total(steps) for name, steps in measured.local.items()}
    reference = local["reference"]
    ours = reference[TOTAL].mb_per_cpu_second
    return {
        "cpu_seconds_per_gb": {step: _round(series.cpu_seconds_per_gb) for step, series in reference.items()},
        "mb_per_cpu_second": {step: _round(series.mb_per_cpu_second) for step, series in reference.items()},
        "peak_rss_mb": {
            step: {name: _round(steps[step].peak_rss_mb) for name, steps in local.items()} for step in reference
        },
        "ratio": {name: _round(ours / series.mb_per_cpu_second) for name, series in measured.peers.items()},
        "floor_mb_per_cpu_second": {name: _round(series.mb_per_cpu_second) for name, series in measured.floor.items()},
        "cold_start_ms": {
            kind: {function: spread(starts) for function, starts in functions.items()}
            for kind, functions in measured.cold_start_ms.items()
        },
        "warm_100_orders_ms": {kind: _warm(functions) for kind, functions in measured.warm_ms.items()},
        "detail": {
            "local": {name: _details(steps) for name, steps in local.items()},
            "s3_endpoint": _details(with_total(measured.endpoint)),
            "peers": _details(measured.peers),
            "floor": _details(measured.floor),
        },
    }


def spread(numbers: Sequence[float]) -> dict[str, float]:
    """Return the median, minimum and maximum of the numbers by name."""
    return {"median": _round(median(numbers)), "min": _round(min(numbers)), "max": _round(max(numbers))}


def _warm(functions: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return the spread of each function's time in milliseconds, and of the sum per run as `total`."""
    totals = [sum(run) for run in zip(*functions.values(), strict=True)]
    return {name: spread(numbers) for name, numbers in {**functions, TOTAL: totals}.items()}


def _details(series: Mapping[str, Series]) -> dict[str, Any]:
    return {name: one.detail() for name, one in series.items()}


def _round(number: float) -> float:
    """Return the number with four significant digits, which exceeds the precision of the measurements."""
    return float(f"{number:.4g}")
