"""Runs a file of 10 GB through the functions with their settings and chunks on AWS, for `make bench-huge`.

The result shows whether memory and /tmp stay within the functions' limits, and how long the longest call takes.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import ours
from bench.child import measure, peak_rss_bytes
from bench.errors import BenchError
from bench.figures import GB, MB
from bench.inputs import make_input
from bench.process import OWN_PYTHON, WORK, run
from bench.report import table
from bench.session import folder

_COPIED_ORDERS = 1_535_000
"""The number of orders in an input of about 1 GB. The huge file consists of copies of this input with other ids."""

_CHUNK_BYTES = 64 << 20
_ROOM = 10240 << 20
"""Terraform's defaults of chunk_bytes and ephemeral_storage_mb, in bytes."""


@dataclass(frozen=True)
class Calls:
    """All calls of one function, one after another in one process, as in a warm environment."""

    calls: int
    cpu_seconds: float
    longest_call_seconds: float
    peak_rss_bytes: int
    peak_tmp_bytes: int


def calls(step: str) -> Calls:
    """Run one step for the uploaded file, once per chunk if the step processes chunks, and return its calls."""
    call, batch = ours.call_of(step), ours.plan()
    chunks = range(1 if step == "write" else batch.chunk_count)
    longest, cpu = 0.0, 0.0
    with _watching(Path(os.environ["TMPDIR"])) as peak_tmp:
        for chunk in chunks:
            taken, _ = measure(lambda chunk=chunk: call(batch, chunk))  # type: ignore[misc]
            longest, cpu = max(longest, taken["wall_seconds"]), cpu + taken["cpu_seconds"]
    return Calls(len(chunks), cpu, longest, peak_rss_bytes(), max(peak_tmp))


@contextmanager
def _watching(place: Path) -> Iterator[list[int]]:
    """Sample the size of the files below a folder several times per second. Yields a list with the peak in bytes."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.append(sum(_size(path) for path in place.glob("pipeline-*/**/*")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:  # the file was deleted in the meantime
        return 0


def make_huge(gigabytes: int) -> Path:
    """Create a file of `gigabytes` GB from copies of the big input with different order ids, and return its path."""
    source = make_input(_COPIED_ORDERS).path
    path = source.with_name(f"huge-{gigabytes}.jsonl")
    if not path.is_file():
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            for copy in range(gigabytes):
                with source.open("rb") as lines:
                    file.writelines(line.replace(b'"order_id":"', b'"order_id":"%d-' % copy, 1) for line in lines)
        unfinished.replace(path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return 0, or 1 if a step failed or exceeded a limit."""
    parser = argparse.ArgumentParser(prog="make bench-huge", description=__doc__, allow_abbrev=False)
    parser.add_argument("--gigabytes", type=int, default=10, help="size of the file (10)")
    parser.add_argument("--step", choices=ours.STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        print(json.dumps(asdict(calls(options.step))))
        return 0
    try:
        return _report(options.gigabytes)
    except BenchError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1


def _report(gigabytes: int) -> int:
    print("· making the file", file=sys.stderr)
    source = make_huge(gigabytes)
    found: dict[str, Calls] = {}
    with folder("s3") as s3:
        environment = {**ours.ENVIRONMENT, ours.FOLDER: str(s3), "CHUNK_BYTES": str(_CHUNK_BYTES), "TMPDIR": str(WORK)}
        run([OWN_PYTHON, "-m", "bench.ours", "upload", source], environment)
        for step in ours.STEPS:
            print(f"· {step}", file=sys.stderr)
            started = time.perf_counter()
            said = run([OWN_PYTHON, "-m", "bench.huge", "--step", step], environment)
            found[step] = Calls(**json.loads(said.splitlines()[-1]))
            print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr)
    rows = [
        [
            *(step, f"{one.calls}", f"{one.cpu_seconds:.0f}", f"{one.longest_call_seconds:.1f}"),
            *(f"{one.peak_rss_bytes / MB:.0f}", f"{one.peak_tmp_bytes / MB:.0f}"),
        ]
        for step, one in found.items()
    ]
    print(f"One file of {source.stat().st_size / GB:.1f} GB in chunks of 64 MiB\n")
    print(table(["step", "calls", "CPU s", "longest call s", "peak MB", "peak /tmp MB"], rows))
    memory = int(ours.ENVIRONMENT["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) << 20
    fits = all(one.peak_rss_bytes < memory and one.peak_tmp_bytes < _ROOM for one in found.values())
    print(f"\nThe run {'stays within' if fits else 'EXCEEDS'} the functions' memory and /tmp.")
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
