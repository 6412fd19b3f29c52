"""Runs a file through the functions' own code on this machine, with a folder in place of S3, and nothing published."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.common import s3_utils, telemetry
from functions.common.batch import Batch
from functions.common.config import settings
from functions.common.errors import PipelineError, ResourceLimitError
from functions.common.planning import PREFIX, plan_batch, source_of
from functions.transform import index as transform
from functions.validate import index as validate
from functions.validate.validation import REJECTED
from functions.write import index as write
from pipeline.errors import CliError
from pipeline.folder_s3 import FolderS3
from pipeline.rules import Rules

_INGEST, _PROCESSED = "ingest", "processed"
_VERSION = "dry-run"
_MEMORY_MB = 1769
"""Of every function, as infra/variables.tf has it for the largest; on this machine nobody holds them to it."""

_ENVIRONMENT = {
    "PROCESSED_BUCKET": _PROCESSED,
    "INGEST_BUCKET": _INGEST,
    "RELEASE": _VERSION,
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(_MEMORY_MB),
    "POWERTOOLS_SERVICE_NAME": _VERSION,
    "POWERTOOLS_METRICS_NAMESPACE": _VERSION,
    "POWERTOOLS_METRICS_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
}


@dataclass(frozen=True)
class DryRun:
    """What would become of a file, and what it would leave, in files that are there as long as the run is open."""

    dataset: str
    manifest: Mapping[str, Any] | None
    """The manifest that it would be published with; None where it would fail."""
    tables: Mapping[str, Path]
    """The files of the tables that would be published, by the name that each has for people, such as orders.csv."""
    rejects: Sequence[Path]
    """Files of reject lines, as they would stand in `rejected/`; of a file that fails early, what was found by then."""
    error: str = ""
    cause: str = ""
    next_step: str = ""

    @property
    def published(self) -> bool:
        return self.manifest is not None

    def copy_to(self, folder: Path) -> None:
        """Copy the tables, the rejects and the manifest into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in self.tables.items():
            shutil.copyfile(path, folder / name)
        if self.manifest:
            text = json.dumps(self.manifest, indent=2, ensure_ascii=False)
            (folder / "manifest.json").write_text(f"{text}\n", "utf-8")
        if not self.rejects:
            return
        with (folder / "rejects.jsonl").open("wb") as merged:
            for path in self.rejects:
                with path.open("rb") as lines:
                    shutil.copyfileobj(lines, merged, 1 << 20)

    def reject_lines(self) -> Iterator[bytes]:
        for path in self.rejects:
            with path.open("rb") as lines:
                yield from lines


@contextmanager
def dry_run(path: Path, dataset: str, rules: Rules, on_read: Callable[[int], object]) -> Iterator[DryRun]:
    """Run a file through every step; `on_read` is told how many bytes of it are read.

    Memory does not grow with the file. What is staged takes up to twice its room, in the folder for temporary
    files (TMPDIR), and is gone when the body ends.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-dry-run-") as temporary:
        root, key = Path(temporary), f"{PREFIX}{dataset}/{path.name}"
        (root / _INGEST / key).parent.mkdir(parents=True)
        (root / _INGEST / key).symlink_to(path.resolve())
        s3 = FolderS3(root, lambda read, at: on_read(at) if read == key else None)
        with _functions_on(s3, rules):
            result = _run(_plan(s3, key), root / _PROCESSED)
        yield result


def _plan(s3: FolderS3, key: str) -> Batch:
    head = s3.head_object(Bucket=_INGEST, Key=key)
    source = source_of(_INGEST, key, _VERSION, head)
    return plan_batch(source, datetime.now(UTC), settings().chunk_bytes)


def _run(batch: Batch, processed: Path) -> DryRun:
    rejected = processed / batch.rejected_key
    try:
        for chunk in range(batch.chunk_count):
            event = {"batch": batch.to_input(), "chunk": chunk}
            validate.handler(event)
            transform.handler(event)
        write.handler(batch.to_input())
    except RuntimeError as exc:  # which DuckDB makes of Ctrl-C
        raise (KeyboardInterrupt if "interrupted" in str(exc).lower() else exc) from exc
    except ResourceLimitError as exc:
        raise CliError(
            f"There is not enough room or memory here to try the file: {exc}",
            f"Let TMPDIR name a folder with more room than {tempfile.gettempdir()}, and run the same again.",
        ) from exc
    except PipelineError as exc:
        samples = [processed / batch.staging_key(chunk, REJECTED) for chunk in range(batch.chunk_count)]
        written = [rejected] if rejected.is_file() else samples
        rejects = [path for path in written if path.is_file() and path.stat().st_size]
        return DryRun(batch.dataset, None, {}, rejects, type(exc).__name__, str(exc), exc.next_step)
    manifest = json.loads((processed / batch.manifest_key).read_bytes())
    tables = {
        f"{name}.{kind}": processed / table[kind]["key"]
        for name, table in manifest["tables"].items()
        for kind in ("csv", "parquet")
    }
    return DryRun(batch.dataset, manifest, tables, [rejected] if manifest["rejects"] else [])


@contextmanager
def _functions_on(s3: FolderS3, rules: Rules) -> Iterator[None]:
    """The functions' code on `s3` under `rules`, without logs and metrics."""
    environment, client = dict(os.environ), s3_utils.client
    os.environ.update({**_ENVIRONMENT, **rules.settings, "CONTRACTS": str(rules.contracts)})
    s3_utils.client = lambda: s3  # type: ignore[assignment]
    caches = (settings, telemetry.logger)
    try:
        for cached in caches:
            cached.cache_clear()
        yield
    finally:
        s3_utils.client = client
        os.environ.clear()
        os.environ.update(environment)
        for cached in caches:
            cached.cache_clear()
