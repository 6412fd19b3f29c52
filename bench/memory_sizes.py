"""Measures the time and cost of each step at several memory sizes, for `make bench-memory`.

Lambda gives a function one vCPU at 1,769 MB, and CPU in proportion to memory
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). Here, a control group limits a process to the
same share of a core. Above one vCPU, the process may use two cores. Requires root and Linux with cgroups.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median

from bench import ours
from bench.errors import BenchError
from bench.inputs import make_input
from bench.process import OWN_PYTHON, Sample, measure, run
from bench.report import table
from bench.session import folder
from functions.common.pricing.prices import prices_for

_SIZES_MB = (512, 1024, 1769, 2048, 3008)
_WHOLE_MB = 1769
_ORDERS = 100_000
"""The number of orders in about 65 MB, which is one chunk by default."""

_ROUNDS = 3
_PERIOD_US = 20_000
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_GROUP = "order-pipeline-bench"


@contextmanager
def _share_of_a_core(share: float) -> Iterator[str]:
    """Create a control group with `share` of a core's time, and yield the shell command that enters it."""
    is_v1 = (_V1 / "cpu.cfs_quota_us").is_file()
    group = (_V1 if is_v1 else _V2) / _GROUP
    try:
        group.mkdir(exist_ok=True)
        if is_v1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(round(_PERIOD_US * share)))
        else:
            (group / "cpu.max").write_text(f"{round(_PERIOD_US * share)} {_PERIOD_US}")
    except OSError as exc:
        raise BenchError(
            f"A control group can't be created ({exc.strerror}). Run as root, on Linux with cgroups."
        ) from exc
    try:
        yield f"echo $$ > {group / 'cgroup.procs'}"
    finally:
        group.rmdir()


def _measured(step: str, size_mb: int, environment: dict[str, str]) -> Sample:
    with _share_of_a_core(size_mb / _WHOLE_MB) as enter:
        command = f'{enter} && exec "{OWN_PYTHON}" -m bench.ours step {step} "$0"'
        return measure(["sh", "-c", command], {**environment, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(size_mb)})


def main() -> int:
    """Run the benchmark. Return 0, or 1 if a measurement failed."""
    price = prices_for("eu-central-1", "arm64").usd["lambda_gb_second"]
    rows: list[list[str]] = []
    try:
        source = make_input(_ORDERS)
        for size_mb in _SIZES_MB:
            samples = [_round(source.path, size_mb) for _ in range(_ROUNDS)]
            print(f"· {size_mb} MB", file=sys.stderr)
            rows += [_row(step, size_mb, [one[step] for one in samples], price) for step in ours.STEPS]
    except BenchError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    rows.sort(key=lambda row: ours.STEPS.index(row[0]))
    print(f"{source.orders:,} orders, {source.n_bytes / 10**6:.0f} MB, in one chunk; median of {_ROUNDS}\n")
    print(table(["step", "memory MB", "seconds", "USD per 1,000 calls", "peak MB"], rows))
    return 0


def _round(source: Path, size_mb: int) -> dict[str, Sample]:
    with folder("s3") as s3:
        environment = {**ours.ENVIRONMENT, ours.FOLDER: str(s3)}
        run([OWN_PYTHON, "-m", "bench.ours", "upload", source], environment)
        return {step: _measured(step, size_mb, environment) for step in ours.STEPS}


def _row(step: str, size_mb: int, samples: Sequence[Sample], price: Decimal) -> list[str]:
    seconds = median(sample.wall_seconds for sample in samples)
    usd = Decimal(seconds) * size_mb / 1024 * price * 1000
    peak = max(sample.peak_rss_bytes for sample in samples) / 10**6
    return [step, f"{size_mb}", f"{seconds:.2f}", f"{usd:.4f}", f"{peak:.0f}"]


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    sys.exit(main())
