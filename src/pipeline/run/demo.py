"""Runs `make demo`: the whole pipeline on a temporary local emulator."""

import tempfile
import time
from pathlib import Path

from pipeline import console as show
from pipeline.console.files import check_input
from pipeline.deploy import build, deploy, terraform
from pipeline.deploy.targets import Target, contracts_with, embedded_target
from pipeline.emulator import server as embedded
from pipeline.errors import UsageError
from pipeline.inspect.report import write_report
from pipeline.run import runs
from pipeline.run import show as show_run
from pipeline.run.ignored import check_not_ignored
from pipeline.run.runs import REPORT

_COST_SECONDS = 15
"""How long the demo waits for the cost of its run, which is calculated after the execution."""


def demo(path: Path, dataset: str, folder: Path) -> runs.RunResult:
    """Deploy infra/ to a new local emulator, process one file, and download the outputs to `folder`."""
    check_input(path, "pipeline demo path/to/orders.jsonl, or make demo INPUT=path/to/orders.jsonl")
    runtime = build.local_runtime(contracts_with(dataset))
    if dataset not in (known := build.datasets_in(runtime.contracts)):
        raise UsageError(
            f"{runtime.contracts} has no contract for {dataset}. It has contracts for: {', '.join(known)}.",
            "Set --dataset to one of these, or TF_VAR_contracts_dir to the folder that has the contract.",
        )
    check_not_ignored(path, dataset, runtime.contracts)
    if runtime.contracts == build.EXAMPLES:
        show.step(f"using the contracts in examples/contracts, which have {dataset}")
    terraform.executable()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as temporary:
        show.step("building the functions")
        build.build(runtime)
        show.step("starting the local emulator")
        server = embedded.start(Path(temporary) / "server")
        try:
            place = embedded_target(server, Path(temporary), runtime.contracts)
            deploy.deploy(place)
            result = run(place, path, dataset)
            _show_outputs(place, result, folder)
            _write_report(place, result, folder / REPORT)
        finally:
            show.step("stopping the local emulator")
            server.stop()
    show.step(f"done in {time.monotonic() - started:.0f} s")
    return result


def run(place: Target, path: Path, dataset: str) -> runs.RunResult:
    """Upload a file, then print the states and the outcome of its execution."""
    uploaded = runs.upload(place, path, dataset)
    show.step(f"uploaded s3://{uploaded.bucket}/{uploaded.key}, batch {uploaded.batch_id}")
    for state in runs.follow(place, uploaded):
        show.step(f"  {state}")
    result = runs.outcome(place, uploaded)
    show_run.outcome(result)
    return result


def _show_outputs(place: Target, result: runs.RunResult, folder: Path) -> None:
    """Download the outputs of a run to `folder`, and print the first rows of its tables and one reject."""
    runs.download_outputs(place, result, folder)
    if result.manifest and result.published:
        show_run.tables(folder, result.manifest.tables)
    if result.rejects_key:
        show_run.first_reject(folder / "rejects.jsonl")
    show.out.print(f"\nOutputs in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _write_report(place: Target, result: runs.RunResult, path: Path) -> None:
    """Wait for the cost of a run, for up to 15 seconds, then write the report of its batch to `path`."""
    runs.await_cost(place, result.upload, _COST_SECONDS)
    write_report(place, result.upload.batch_id, path)
    show.out.print(f"Report (open it in a browser): {path}", markup=False)
