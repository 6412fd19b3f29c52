"""Defines the errors of the pipeline. Their class names are part of its API.

Step Functions retries and catches by the bare class name, and the failure record stores it as `error`. A notification
contains `next_step`. A message names the file, the place and the rule, and never quotes a record.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from functions.common.aws_errors import PASSING, next_step_of_aws

_FIX_AND_UPLOAD = "Correct the file and upload it again. The new version is a new batch."
_LOOK_AND_REPLAY = "Find the cause in the function's log for this batch, fix it, and run the batch again."


_BY_NAME: dict[str, type["PipelineError"]] = {}
"""The error classes by name, because the state machine passes only names."""


class Remedy(StrEnum):
    """The action that lets a failed file succeed. Failure records store its value, which never changes."""

    REPLAY = "replay"
    """Run the same version again without a change, because the fault may be temporary."""
    FIX_AND_REPLAY = "fix_and_replay"
    """Change something other than the file, and then run the same version again."""
    UPLOAD = "upload"
    """Upload a corrected or complete file, because the same version would fail again."""
    UPLOAD_OR_REPLAY = "upload_or_replay"
    """Upload a corrected file, or raise a limit and run the same version again."""
    INVESTIGATE = "investigate"
    """Find the cause first. Until then, neither a replay nor another file helps."""
    NOTHING = "nothing"
    """No action is needed."""


class PipelineError(Exception):
    """The base class of all errors that the pipeline raises."""

    next_step = _LOOK_AND_REPLAY
    remedy = Remedy.FIX_AND_REPLAY
    rejected_by_reason: Mapping[str, int] = MappingProxyType({})
    """The number of rejected records by reason, if a file fails because of its rejects."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        _BY_NAME[cls.__name__] = cls


class TransientError(PipelineError):
    """A call to AWS failed temporarily. This is the only pipeline error that is retried."""

    remedy = Remedy.REPLAY
    next_step = "Nothing is wrong with the file. Run the batch again when AWS responds."


class ConfigurationError(PipelineError):
    """An environment variable of the function is missing or invalid."""

    next_step = "Correct the setting, deploy, and run the batch again."


class ContractError(PipelineError):
    """A contract's folder is incomplete or contradicts itself."""

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position
        """The position of the record on which the contract's SQL failed, if there is a single one."""

    next_step = "Correct the contract, deploy, and run the batch again."


class ResourceLimitError(PipelineError):
    """A step needs more memory or disk than its function has."""

    def __init__(self, message: str, *, is_memory: bool = False) -> None:
        super().__init__(message)
        self.is_memory = is_memory
        """Whether the function ran out of memory. Otherwise, it ran out of disk space."""

    next_step = "Raise memory_mb or ephemeral_storage_mb of the function, deploy, and run the batch again."


class UnknownDatasetError(PipelineError):
    """The object's folder has no contract."""

    remedy = Remedy.UPLOAD
    next_step = "Upload the file to incoming/<dataset>/, where <dataset> is a folder under contracts/."


class UnsupportedFormatError(PipelineError):
    """The object's name does not show its format, or its content is in an unsupported format."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Write the file as JSON or JSON Lines, uncompressed or compressed once with gzip, bzip2 or zstd. Give it the "
        "extension .json, .jsonl or .ndjson, and upload it again. Or set input.format in the contract, deploy, and run "
        "the batch again."
    )


class SourceMissingError(PipelineError):
    """The object version was deleted before `validate` read it, or before `write` read superseded records again."""

    remedy = Remedy.UPLOAD
    next_step = "Upload the file again. The pipeline never deletes the files that it reads."


class SourceNotVisibleError(PipelineError):
    """S3 does not return an object version that is less than 15 minutes old and may not be visible yet."""

    next_step = "Wait 15 minutes and run the batch again. If the object has been deleted, upload the file again."


class SourceArchivedError(PipelineError):
    """The object version is in an archive storage class, from which S3 returns it only after it is restored."""

    next_step = "Restore the object in S3 (aws s3api restore-object). After it is restored, run the batch again."


class ObjectTooLargeError(PipelineError):
    """The object exceeds `max_object_bytes`, or `max_inflated_bytes` if it can't be split into chunks."""

    remedy = Remedy.UPLOAD
    next_step = (
        "Split the file and upload its parts, or raise the setting that the message names, deploy, and upload the file "
        "again. You can also send the file as JSON Lines, which is split into chunks."
    )


class InflatedTooLargeError(PipelineError):
    """The decompressed size of an object exceeds `max_inflated_bytes` or `max_inflation_ratio`."""

    remedy = Remedy.UPLOAD
    next_step = (
        "Check that the file is not corrupt or malicious. Then upload it without compression, or raise the setting "
        "that the message names, deploy, and upload the file again."
    )


class RecordTooLargeError(PipelineError):
    """A document that is a single record has more bytes than `max_record_bytes`."""

    remedy = Remedy.UPLOAD
    next_step = (
        "If the document holds many records, send them as an array, as the contract's envelope or as JSON Lines. "
        "If it is one record, raise max_record_bytes, deploy, and upload the file again."
    )


class CorruptGzipError(PipelineError):
    """The object begins like gzip, bzip2 or zstd, but can't be decompressed."""

    remedy = Remedy.UPLOAD
    next_step = "Compress the file again, or send it uncompressed, and upload it again."


class EncodingError(PipelineError):
    """The document is not UTF-8, or begins with a byte order mark."""

    remedy = Remedy.UPLOAD
    next_step = "Save the file as UTF-8 without a byte order mark and upload it again."


class MalformedDocumentError(PipelineError):
    """The document is not valid JSON, or its JSON value can't contain records."""

    remedy = Remedy.UPLOAD
    next_step = _FIX_AND_UPLOAD


class WrongEnvelopeError(PipelineError):
    """The document is valid JSON, but its records are not where the contract specifies."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message} {advice}".rstrip())
        self.without_advice = message
        """The message without its general advice, for a diagnosis with advice of its own."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Correct the file and upload it again. Or set input.records in the contract to the JSON Pointer of the "
        "records, deploy, and run the batch again."
    )


class EmptyFileError(PipelineError):
    """The object contains no records."""

    remedy = Remedy.UPLOAD
    next_step = "If the file should contain records, upload it again. Otherwise, no action is needed."


class NoValidRecordsError(PipelineError):
    """Every record of the file violates the contract."""

    remedy = Remedy.UPLOAD
    next_step = "Read the rejects, correct the records and upload the file again."


class TooManyRejectsError(PipelineError):
    """The share of rejected records, or of bytes that can't be read as records, is above `max_reject_ratio`."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Read the rejects, correct the records and upload the file again. "
        "Or raise max_reject_ratio, deploy, and run the batch again."
    )


class RejectVolumeError(PipelineError):
    """The rejects of one chunk take more than `max_reject_bytes`."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Look at the sample: many rejects usually have few causes. Correct the records and upload the file again, "
        "or raise max_reject_bytes and the function's ephemeral_storage_mb, deploy, and run the batch again."
    )


class ReconciliationError(PipelineError):
    """The counts, keys, references or control totals of a batch do not balance, so nothing is published."""

    next_step = (
        "If the cause names a table, correct its SQL, key or latest_by in the contract, deploy, and run the batch "
        "again. Otherwise run the batch again: staging may have expired, or a deployment may have occurred during the "
        "run. If it fails again, report a bug with the batch id."
    )


class DocumentError(PipelineError):
    """A document that the pipeline stored, such as a manifest or a failure record, can't be parsed."""

    next_step = (
        "If the cause names a key under staging/, run the batch again. Otherwise restore the version of the object "
        "that the pipeline wrote, and then run the batch again."
    )


class CommitConflictError(PipelineError):
    """Another run committed this batch with different bytes. The committed manifest is kept."""

    remedy = Remedy.INVESTIGATE
    next_step = "Compare the two releases. If the committed manifest is wrong, publish a new revision of the batch."


def next_step_for(error: str) -> str:
    """Return the advice for the error named `error`, or general advice for an unknown name."""
    return next_step_of_aws(error) or _BY_NAME.get(error, PipelineError).next_step


def remedy_for(error: str) -> Remedy:
    """Return the remedy for a file that failed with the error named `error`."""
    if error in PASSING:
        return Remedy.REPLAY
    return _BY_NAME.get(error, PipelineError).remedy
