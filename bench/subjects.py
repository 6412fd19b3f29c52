"""Defines the subjects that are compared with the pipeline: other tools, and upper bounds on the machine's speed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import PEERS_PYTHON, WORK


@dataclass(frozen=True)
class Subject:
    """A tool that does the job, or a part of the job, in the peers' environment."""

    name: str
    """The name of the subject in the results."""
    title: str
    module: str
    leaves_out: str
    """The work of the pipeline that the subject omits."""
    one_thread: str
    """A description of how the subject is limited to one thread."""
    function: str = "run"
    share: float = 1.0
    """The share of the reference file's orders that the subject processes. Below 1 if the whole file takes minutes."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, source: Path, out: Path) -> list[str | Path]:
        return [PEERS_PYTHON, "-m", "bench.child", self.module, self.function, source, out]

    def said(self) -> dict[str, str | float]:
        """Return the description of the subject in the results."""
        return {
            "title": self.title,
            "leaves_out": self.leaves_out,
            "one_thread": self.one_thread,
            "share_of_orders": self.share,
        }


PEERS = (
    Subject(
        "pandas_jsonschema",
        "pandas + jsonschema",
        "bench.peers.with_pandas",
        "reasons of rejects, the total's rule, exact decimals, duplicate orders, CSV, reconciliation",
        "single-threaded",
        share=0.1,
        environment={"OMP_NUM_THREADS": "1"},
    ),
    Subject(
        "dlt",
        "dlt",
        "bench.peers.with_dlt",
        "validation beyond types, rejects, one row per customer, duplicate orders, CSV, reconciliation",
        "EXTRACT__, NORMALIZE__ and LOAD__WORKERS=1",
        environment={
            "EXTRACT__WORKERS": "1",
            "NORMALIZE__WORKERS": "1",
            "LOAD__WORKERS": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DLT_DATA_DIR": str(WORK / "dlt"),
        },
    ),
    Subject(
        "polars",
        "polars",
        "bench.peers.with_polars",
        "validation, rejects, exact decimals, duplicate orders, CSV, reconciliation",
        "POLARS_MAX_THREADS=1",
        environment={"POLARS_MAX_THREADS": "1"},
    ),
    Subject(
        "pyarrow",
        "pyarrow",
        "bench.peers.with_pyarrow",
        "validation, rejects, exact decimals, duplicate orders, CSV, reconciliation",
        "use_threads=False, set_cpu_count(1)",
        environment={"OMP_NUM_THREADS": "1"},
    ),
    Subject(
        "duckdb",
        "DuckDB alone, types detected",
        "bench.peers.with_duckdb",
        "validation, rejects, exact decimals, duplicate orders, CSV, reconciliation",
        "threads = 1",
        function="run_detected",
    ),
    Subject(
        "duckdb_typed",
        "DuckDB alone, explicit types",
        "bench.peers.with_duckdb",
        "validation, rejects, duplicate orders, CSV, reconciliation",
        "threads = 1",
        function="run_typed",
    ),
)

FLOOR = (
    Subject("orjson", "orjson.loads of each line", "bench.peers.floor", "everything else", "single-threaded", "parse"),
    Subject("read", "reading the bytes", "bench.peers.floor", "everything else", "single-threaded", "read"),
)
