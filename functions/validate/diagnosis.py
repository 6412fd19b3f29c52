"""Adds a diagnosis to the error of a file that fails, and to the counts of a chunk with mostly rejects."""

from collections.abc import Iterator
from contextlib import contextmanager

from functions.common.contract import Contract
from functions.common.diagnoses.sample import Expected, FileSample
from functions.common.diagnoses.table import diagnose
from functions.common.errors import MalformedDocumentError, RecordTooLargeError, RejectVolumeError, WrongEnvelopeError
from functions.common.source.documents import Document
from functions.validate.chunk_rejects import ChunkRejects


@contextmanager
def explained(document: Document, rejects: ChunkRejects, contract: Contract) -> Iterator[None]:
    """Add a diagnosis, if one applies, to an error that is raised while a document is read."""
    try:
        yield
    except (MalformedDocumentError, WrongEnvelopeError, RecordTooLargeError) as exc:
        is_broken = isinstance(exc, MalformedDocumentError)
        found = diagnose(FileSample.of_document(document.beginning, is_broken=is_broken), Expected.of(contract))
        if not found:
            raise
        message = exc.without_advice if isinstance(exc, WrongEnvelopeError) else str(exc)
        raise type(exc)(f"{message} {found}") from exc
    except RejectVolumeError as exc:
        found = diagnosis_of_rejects(document, rejects, contract, has_valid=True)
        if not found:
            raise
        raise RejectVolumeError(f"{exc} {found}") from exc


def diagnosis_of_rejects(document: Document, rejects: ChunkRejects, contract: Contract, *, has_valid: bool) -> str:
    """Return a diagnosis of a chunk's rejects. Empty if none applies. `has_valid` says that it has valid records."""
    by_index = document.position_kind == "index"
    sample = FileSample.of_rejects(document.beginning, rejects.sample, by_index=by_index, has_valid=has_valid)
    return diagnose(sample, Expected.of(contract))
