"""Runs a file through the functions' own code on this machine, with a folder instead of S3."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from functions.common.batch import Batch
from functions.common.config import Settings
from functions.common.documents.manifest import Manifest
from functions.common.errors import ContractError, PipelineError, ResourceLimitError, UnknownDatasetError
from functions.common.object_versions import Planner
from functions.common.planning import PREFIX
from functions.transform.index import transform
from functions.validate.index import validate
from functions.validate.validation import REJECTED
from functions.write.writer import BatchWriter
from pipeline import system_errors
from pipeline.contract.folder_storage import FolderStorage
from pipeline.contract.rules import Rules
from pipeline.errors import CliError
from pipeline.run.runs import MANIFEST, replacing_outputs, write_json

_INGEST, _PROCESSED = "ingest", "processed"
_VERSION = "dry-run"
_MEMORY_MB = 1769
"""The memory in MB of every function, as of the largest in infra/variables.tf. This machine doesn't enforce it."""

_NEXT_STEPS: Mapping[type[PipelineError], str] = {
    ContractError: "Correct the contract (see pipeline contract check), then run the command again.",
    UnknownDatasetError: "Set --dataset to one of these, or --contracts to the folder that has the contract.",
}
"""Next steps by error that don't need a deployment."""


@dataclass(frozen=True)
class DryRun:
    """A file's outcome and outputs. Closing the run deletes the outputs."""

    dataset: str
    manifest: Manifest | None
    """The manifest that would be published, or None if the file would fail."""
    tables: Mapping[str, Path]
    """The files of the tables by their names for users, such as orders.csv."""
    rejects: Sequence[Path]
    """Files of reject lines, as in `rejected/`. After an early failure, they have only the rejects found until then."""
    error: str = ""
    cause: str = ""
    next_step: str = ""
    position: int | None = None
    """The position of the record on which the contract's SQL failed, if there is a single one."""

    @property
    def published(self) -> bool:
        return self.manifest is not None

    def copy_to(self, folder: Path) -> bool:
        """Copy the tables, rejects and manifest to `folder`, and remove the outputs of an earlier run.

        Returns whether there were files. After an error, `folder` is unchanged. Raises CliError if it can't be written.
        """
        with replacing_outputs(folder) as unfinished:
            for name, path in self.tables.items():
                shutil.copyfile(path, unfinished / name)
            if self.manifest:
                write_json(unfinished / MANIFEST, self.manifest)
            if self.rejects:
                with (unfinished / "rejects.jsonl").open("wb") as merged:
                    merged.writelines(self.reject_lines())
        return self.published or bool(self.rejects)

    def reject_lines(self) -> Iterator[bytes]:
        for path in self.rejects:
            with path.open("rb") as lines:
                yield from lines


@contextmanager
def dry_run(path: Path, dataset: str, rules: Rules, on_read: Callable[[int], object]) -> Iterator[DryRun]:
    """Run a file through every step. `on_read` is called with the number of bytes read.

    Memory doesn't grow with the file. Staged data takes up to twice the file's size in the folder for temporary files
    (TMPDIR), and is deleted when the block ends.
    """
    with tempfile.TemporaryDirectory(prefix="pipeline-dry-run-") as temporary:
        root, key = Path(temporary), f"{PREFIX}{dataset}/{path.name}"
        (root / _INGEST / key).parent.mkdir(parents=True)
        (root / _INGEST / key).symlink_to(path.resolve())
        storage = FolderStorage(root, lambda read, at: on_read(at) if read == key else None)
        yield _run(storage, key, settings_of(rules), root / _PROCESSED)


def settings_of(rules: Rules) -> Settings:
    """Return the settings of the functions under the rules."""
    given = {
        **rules.settings,
        "CONTRACTS": str(rules.contracts),
        "INGEST_BUCKET": _INGEST,
        "PROCESSED_BUCKET": _PROCESSED,
        "RELEASE": _VERSION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(_MEMORY_MB),
    }
    return Settings.from_env(given)


def _plan(storage: FolderStorage, key: str, settings: Settings) -> Batch:
    batch = Planner(storage, settings.chunk_bytes, settings.contracts).plan(_INGEST, key, _VERSION)
    assert batch is not None
    return replace(batch, ingested_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _run(storage: FolderStorage, key: str, settings: Settings, processed: Path) -> DryRun:
    batch = _plan(storage, key, settings)
    rejected = processed / batch.rejected_key
    try:
        for chunk in range(batch.chunk_count):
            validate(batch, chunk, storage, settings)
            transform(batch, chunk, storage, settings)
        written = BatchWriter(batch, storage, settings).write()
    except RuntimeError as exc:  # DuckDB raises this for Ctrl-C
        raise (KeyboardInterrupt if "interrupted" in str(exc).lower() else exc) from exc
    except (ResourceLimitError, OSError) as exc:
        is_disk = system_errors.is_full(exc) if isinstance(exc, OSError) else not exc.is_memory
        if not is_disk:
            raise
        raise CliError(
            f"There is not enough disk space to try the file: {exc}",
            f"Set TMPDIR to a folder with more space than {tempfile.gettempdir()}, then run the command again.",
        ) from exc
    except PipelineError as exc:
        samples = [processed / batch.staging_key(chunk, REJECTED) for chunk in range(batch.chunk_count)]
        found = [rejected] if rejected.is_file() else samples
        rejects = [path for path in found if path.is_file() and path.stat().st_size]
        cause = str(exc)
        for path in (rejected, *samples):  # errors contain their S3 addresses, which don't exist
            cause = cause.replace(f"s3://{path.relative_to(processed.parent)}", "the rejects below")
        next_step = _NEXT_STEPS.get(type(exc), exc.next_step)
        position = exc.position if isinstance(exc, ContractError) else None
        return DryRun(batch.dataset, None, {}, rejects, type(exc).__name__, cause, next_step, position)
    tables = {
        f"{name}.{kind}": processed / file.key
        for name, table in written.manifest.tables.items()
        for kind, file in table.files.items()
    }
    return DryRun(batch.dataset, written.manifest, tables, [rejected] if written.manifest.rejects else [])
