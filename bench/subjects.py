"""What is measured beside the pipeline: other tools on the same job, and what the machine allows at most."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import PEERS_PYTHON, WORK


@dataclass(frozen=True)
class Subject:
    """A way to do the job, or a part of it, that runs in the peers' environment."""

    name: str
    """What it is called in the results."""
    title: str
    module: str
    leaves_out: str
    """What the pipeline does and this does not."""
    one_thread: str
    """How it is held to one thread."""
    function: str = "run"
    share: float = 1.0
    """The share of the reference file's orders that it gets: what takes minutes for all is measured on some."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, source: Path, out: Path) -> list[str | Path]:
        return [PEERS_PYTHON, "-m", "bench.child", self.module, self.function, source, out]

    def said(self) -> dict[str, str | float]:
        """What the results say of it beside its figures."""
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
        "reasons of rejects, the total's rule, exact decimals, duplicate orders, CSV, proof of balance",
        "has only one",
        share=0.1,
        environment={"OMP_NUM_THREADS": "1"},
    ),
    Subject(
        "dlt",
        "dlt",
        "bench.peers.with_dlt",
        "validation beyond types, rejects, one row a customer, duplicate orders, CSV, proof of balance",
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
        "validation, rejects, exact decimals, duplicate orders, CSV, proof of balance",
        "POLARS_MAX_THREADS=1",
        environment={"POLARS_MAX_THREADS": "1"},
    ),
    Subject(
        "pyarrow",
        "pyarrow",
        "bench.peers.with_pyarrow",
        "validation, rejects, exact decimals, duplicate orders, CSV, proof of balance",
        "use_threads=False, set_cpu_count(1)",
        environment={"OMP_NUM_THREADS": "1"},
    ),
    Subject(
        "duckdb",
        "DuckDB alone, types detected",
        "bench.peers.with_duckdb",
        "validation, rejects, exact decimals, duplicate orders, CSV, proof of balance",
        "threads = 1",
        function="run_detected",
    ),
    Subject(
        "duckdb_typed",
        "DuckDB alone, types told",
        "bench.peers.with_duckdb",
        "validation, rejects, duplicate orders, CSV, proof of balance",
        "threads = 1",
        function="run_typed",
    ),
)

FLOOR = (
    Subject("orjson", "orjson.loads of each line", "bench.peers.floor", "everything else", "has only one", "parse"),
    Subject("read", "reading the bytes", "bench.peers.floor", "everything else", "has only one", "read"),
)
