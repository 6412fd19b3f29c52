"""Runs all measurements of the benchmark in rounds."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import ours
from bench.errors import BenchError
from bench.figures import Measured, Series
from bench.inputs import Input, make_input
from bench.latency import cold_starts, warm_runs
from bench.process import OWN_PYTHON, PEERS_PYTHON, WORK, Sample, measure, run
from bench.subjects import FLOOR, PEERS, Subject

_SMALL_ORDERS = 100
_WARM_UP_ORDERS = 1_000

Samples = dict[str, list[Sample]]


@dataclass(frozen=True)
class Plan:
    """The number of rounds and the sizes of the inputs."""

    orders: int = 200_000
    big_orders: int = 1_535_000
    """The number of orders in the big file, which has about 1 GB."""
    rounds: int = 3
    cold_starts: int = 7
    warm_runs: int = 20


QUICK = Plan(orders=5_000, big_orders=20_000, rounds=1, cold_starts=2, warm_runs=3)
"""A plan for trying the benchmark. Its figures are not meaningful."""


def measure_all(plan: Plan) -> tuple[Measured, dict[str, Input]]:
    """Run all measurements, and return them with the inputs by name.

    Raises BenchError if a measurement fails or has an incomplete result.
    """
    if not PEERS_PYTHON.is_file():
        raise BenchError("The environment of the other tools is missing. Run `make bench`, which prepares it.")
    shutil.rmtree(WORK, ignore_errors=True)  # leftovers of a run that was killed
    _say("making the inputs")
    inputs = {"reference": make_input(plan.orders), "big": make_input(plan.big_orders)}
    _warm_up()
    steps, others = _rounds_on_reference(inputs["reference"], plan.rounds)
    big: Samples = {}
    for number in range(plan.rounds):
        _say(f"round {number + 1} of {plan.rounds}: the big file")
        _add(big, _on_folder(inputs["big"]))
    endpoint: Samples = {}
    for number in range(plan.rounds):
        _say(f"round {number + 1} of {plan.rounds}: against a local S3 endpoint")
        _add(endpoint, _on_endpoint(inputs["reference"]))
    _say("cold starts")
    cold = cold_starts(plan.cold_starts)
    _say("a small file, warm")
    with _server() as environment:
        warm = warm_runs(make_input(_SMALL_ORDERS).path, plan.warm_runs, environment)
    measured = Measured(
        local={"reference": _series(steps, inputs["reference"]), "big": _series(big, inputs["big"])},
        endpoint=_series(endpoint, inputs["reference"]),
        peers={subject.name: _of(subject, others, inputs["reference"]) for subject in PEERS},
        floor={subject.name: _of(subject, others, inputs["reference"]) for subject in FLOOR},
        cold_start_ms=cold,
        warm_ms=warm,
    )
    return measured, inputs


def _rounds_on_reference(reference: Input, rounds: int) -> tuple[Samples, Samples]:
    """Measure all subjects in turn. Each round starts with another subject, so a slow minute affects all of them."""
    steps: Samples = {}
    others: Samples = {}
    subjects: list[Subject | None] = [None, *PEERS, *FLOOR]  # None is the pipeline
    for number in range(rounds):
        for subject in subjects[number % len(subjects) :] + subjects[: number % len(subjects)]:
            _say(f"round {number + 1} of {rounds}: {subject.title if subject else 'the pipeline'}")
            if subject is None:
                _add(steps, _on_folder(reference))
            else:
                _add(others, {subject.name: _on_subject(subject, _shared(subject, reference))})
    _check_same_rows(steps["write"][0], others)
    return steps, others


def _warm_up() -> None:
    """Run every subject once on a small file, which caches bytecode and finds errors early."""
    small = make_input(_WARM_UP_ORDERS)
    _say("warming up")
    _on_folder(small)
    for subject in (*PEERS, *FLOOR):
        _on_subject(subject, small)


def _on_folder(source: Input) -> dict[str, Sample]:
    """Return a sample of each of the pipeline's steps, measured in a new process with a folder in place of S3."""
    with folder("s3") as s3:
        return _steps(source, {ours.FOLDER: str(s3)})


def _on_endpoint(source: Input) -> dict[str, Sample]:
    """Return a sample of each of the pipeline's steps, measured in a new process with a new local server."""
    with _server() as environment:
        return _steps(source, environment)


def _steps(source: Input, environment: Mapping[str, str]) -> dict[str, Sample]:
    environment = {**ours.ENVIRONMENT, **environment}
    run([OWN_PYTHON, "-m", "bench.ours", "upload", source.path], environment)
    samples = {step: measure([OWN_PYTHON, "-m", "bench.ours", "step", step], environment) for step in ours.STEPS}
    _check_orders("the pipeline", samples["write"], source)
    return samples


def _on_subject(subject: Subject, source: Input) -> Sample:
    with folder("out") as out:
        sample = measure(subject.command(source.path, out), subject.environment)
    _check_orders(subject.title, sample, source)
    return sample


def _check_orders(who: str, sample: Sample, source: Input) -> None:
    """Raise BenchError if a subject drops orders."""
    if sample.rows.get("orders", source.orders) != source.orders:
        raise BenchError(f"{who} wrote {sample.rows['orders']} of {source.orders} orders.")


def _check_same_rows(own: Sample, others: Mapping[str, list[Sample]]) -> None:
    """Raise BenchError if a subject processed the same orders but wrote other numbers of rows than the pipeline."""
    for name, (sample, *_) in others.items():
        if sample.rows.get("orders") == own.rows["orders"] and not sample.rows.items() <= own.rows.items():
            raise BenchError(f"{name} wrote {dict(sample.rows)}, the pipeline wrote {dict(own.rows)}.")


def _shared(subject: Subject, reference: Input) -> Input:
    return reference if subject.share == 1 else make_input(round(reference.orders * subject.share))


def _series(samples: Samples, source: Input) -> dict[str, Series]:
    return {name: Series(source.n_bytes, all_) for name, all_ in samples.items()}


def _of(subject: Subject, samples: Samples, reference: Input) -> Series:
    return Series(_shared(subject, reference).n_bytes, samples[subject.name])


def _add(samples: Samples, more: Mapping[str, Sample]) -> None:
    for name, sample in more.items():
        samples.setdefault(name, []).append(sample)


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Create an empty folder under build/ that is deleted afterwards."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server() -> Iterator[dict[str, str]]:
    """Start the local emulator in a new process, with TLS as on AWS. Yields the environment variables for clients."""
    from pipeline.emulator import server as embedded  # imported here because only some runs use it

    with folder("server") as home:
        server = embedded.start(home, AUTH="false")
        try:
            yield server.environment()
        finally:
            server.stop()


def _say(what: str) -> None:
    print(f"· {what}", file=sys.stderr, flush=True)
