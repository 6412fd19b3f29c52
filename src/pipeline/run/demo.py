"""`make demo`: the whole pipeline on an embedded AWS that is started for it and stopped behind it."""

import tempfile
import time
from pathlib import Path

from pipeline import console as show
from pipeline.console.files import check_input
from pipeline.deploy import build, deploy, terraform
from pipeline.deploy.targets import Target, contracts_folder, embedded_target
from pipeline.emulator import server as embedded
from pipeline.errors import UsageError
from pipeline.inspect.report import write_report
from pipeline.run import runs
from pipeline.run import show as show_run
from pipeline.run.runs import REPORT

_COST_SECONDS = 15
"""How long the demo waits for what its run cost, which is reckoned behind it."""


def demo(path: Path, dataset: str, folder: Path) -> runs.RunResult:
    """Deploy infra/ to a fresh embedded AWS and run one file through it; what it leaves ends up in `folder`."""
    check_input(path, "pipeline demo path/to/orders.jsonl, or make demo INPUT=path/to/orders.jsonl")
    runtime = build.local_runtime(contracts_folder())
    if dataset not in (known := build.datasets_in(runtime.contracts)):
        raise UsageError(
            f"There is no contract for {dataset} in {runtime.contracts}; there are contracts for: {', '.join(known)}.",
            "Name one with --dataset, or the folder that has its contract with TF_VAR_contracts_dir.",
        )
    terraform.executable()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as temporary:
        show.step("building the functions")
        build.build(runtime)
        show.step("starting the embedded AWS")
        server = embedded.start(Path(temporary) / "server")
        try:
            place = embedded_target(server, Path(temporary))
            deploy.deploy(place)
            result = run(place, path, dataset)
            _show_outputs(place, result, folder)
            _report(place, result, folder / REPORT)
        finally:
            show.step("stopping the embedded AWS")
            server.stop()
    show.step(f"done in {time.monotonic() - started:.0f} s")
    return result


def run(place: Target, path: Path, dataset: str) -> runs.RunResult:
    """Upload a file, show the states that its execution passes, and tell how it ended."""
    uploaded = runs.upload(place, path, dataset, show.reading)
    show.step(f"uploaded s3://{uploaded.bucket}/{uploaded.key}, batch {uploaded.batch_id}")
    for state in runs.follow(place, uploaded):
        show.step(f"  {state}")
    result = runs.outcome(place, uploaded)
    show_run.outcome(result)
    return result


def _show_outputs(place: Target, result: runs.RunResult, folder: Path) -> None:
    """Download what a run left into `folder`, and show the first rows of its tables and a reject."""
    runs.download_outputs(place, result, folder)
    if result.manifest and result.published:
        show_run.tables(folder, result.manifest.tables)
    if result.rejects_key:
        show_run.first_reject(folder / "rejects.jsonl")
    show.out.print(f"\nWhat the run left is in {folder}/: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _report(place: Target, result: runs.RunResult, path: Path) -> None:
    """Write the report of a run, once it is known what the run cost, and name it."""
    runs.await_cost(place, result.upload, _COST_SECONDS)
    write_report(place, result.upload.batch_id, path)
    show.out.print(f"The report of the run, to open in a browser: {path}", markup=False)
