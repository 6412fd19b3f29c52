"""The errors of the pipeline: their class names are its API.

Step Functions retries and catches by the bare class name, the failure record keeps it as `error`, and
`next_step` is the sentence that a person is sent. A message names the file, the place and the rule; it
never quotes a record.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from functions.common.aws_errors import PASSING, next_step_of_aws

_FIX_AND_UPLOAD = "Correct the file and upload it again; the new version is a new batch."
_LOOK_AND_REPLAY = "Look at the function's log for this batch, mend the cause, and run the batch again."


_BY_NAME: dict[str, type["PipelineError"]] = {}
"""Every error class by its name, which is all that the state machine hands on."""


class Remedy(StrEnum):
    """What makes a failed file succeed; the failure record keeps it, and commands decide by it. Values never change."""

    REPLAY = "replay"
    """Run the same version again, with nothing changed: the fault may have passed."""
    FIX_AND_REPLAY = "fix_and_replay"
    """Change something other than the file, then run the same version again."""
    UPLOAD = "upload"
    """Upload a corrected or complete file: the same version fails again."""
    UPLOAD_OR_REPLAY = "upload_or_replay"
    """Upload a corrected file, or raise a limit and run the same version again."""
    INVESTIGATE = "investigate"
    """Neither a replay nor another file helps before somebody has found out why."""
    NOTHING = "nothing"
    """Nothing needs to be done."""


class PipelineError(Exception):
    """Base of every error that the pipeline raises on purpose."""

    next_step = _LOOK_AND_REPLAY
    remedy = Remedy.FIX_AND_REPLAY
    rejected_by_reason: Mapping[str, int] = MappingProxyType({})
    """For a file that was refused for its rejects: how many records each reason has."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        _BY_NAME[cls.__name__] = cls


class TransientError(PipelineError):
    """A call to AWS failed in a way that passes; the only error that is retried for what it is."""

    remedy = Remedy.REPLAY
    next_step = "Nothing is wrong with the file. Run the batch again when AWS answers."


class ConfigurationError(PipelineError):
    """The function's environment lacks a setting, or has one that cannot be used."""

    next_step = "Deploy again with the setting mended, and run the batch again."


class ContractError(PipelineError):
    """A contract's folder is incomplete or contradicts itself."""

    next_step = "Mend the contract, deploy, and run the batch again."


class ResourceLimitError(PipelineError):
    """A step needs more memory or disk than its function has."""

    def __init__(self, message: str, *, is_memory: bool = False) -> None:
        super().__init__(message)
        self.is_memory = is_memory
        """Whether it is memory that is short, and not the disk."""

    next_step = "Raise memory_mb or ephemeral_storage_mb of the function, deploy, and run the batch again."


class UnknownDatasetError(PipelineError):
    """The object is in a folder for which there is no contract."""

    remedy = Remedy.UPLOAD
    next_step = "Upload the file to incoming/<dataset>/, where <dataset> is a folder under contracts/."


class UnsupportedFormatError(PipelineError):
    """The object's name does not say how to read it, or its content is in a format that is not read."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Write the file as JSON or JSON Lines, uncompressed or compressed once with gzip, bzip2 or zstd. Name it "
        ".json, .jsonl or .ndjson, and upload it again; or set input.format in the contract, deploy, and run the batch "
        "again."
    )


class SourceMissingError(PipelineError):
    """The object version was deleted before it could be read, or read again for what is superseded."""

    remedy = Remedy.UPLOAD
    next_step = "Upload the file again; the pipeline never deletes what it reads."


class SourceNotVisibleError(PipelineError):
    """S3 does not return the object version, which is younger than 15 minutes and may not be visible yet."""

    next_step = "Wait 15 minutes and run the batch again. If it was deleted meanwhile, upload the file again."


class SourceArchivedError(PipelineError):
    """The object version is in an archive storage class, from which S3 returns it only after it is restored."""

    next_step = "Restore the object in S3 (aws s3api restore-object). When that is done, run the batch again."


class ObjectTooLargeError(PipelineError):
    """The object has more bytes than `max_object_bytes`, or one that can't be cut more than `max_inflated_bytes`."""

    remedy = Remedy.UPLOAD
    next_step = (
        "Split the file and upload its parts, or raise the setting that the message names, deploy, and upload the file "
        "again. A file that can't be cut may be sent as JSON Lines, too."
    )


class InflatedTooLargeError(PipelineError):
    """A compressed object inflates past `max_inflated_bytes` or `max_inflation_ratio`."""

    remedy = Remedy.UPLOAD
    next_step = (
        "Check that the file is not corrupt or hostile. Then upload it without compression; or raise the setting that "
        "the message names, deploy, and upload the file again."
    )


class RecordTooLargeError(PipelineError):
    """A document that is one single record has more bytes than `max_record_bytes`."""

    remedy = Remedy.UPLOAD
    next_step = (
        "If it holds many records, send them as an array, as the contract's envelope or as JSON Lines. "
        "If it is one record, raise max_record_bytes, deploy, and upload it again."
    )


class CorruptGzipError(PipelineError):
    """The object begins as gzip, bzip2 or zstd, but its bytes do not inflate."""

    remedy = Remedy.UPLOAD
    next_step = "Compress the file again, or send it uncompressed, and upload it again."


class EncodingError(PipelineError):
    """The document is not UTF-8 without a byte order mark."""

    remedy = Remedy.UPLOAD
    next_step = "Save the file as UTF-8 without a byte order mark and upload it again."


class MalformedDocumentError(PipelineError):
    """The document is not JSON, or JSON that can hold no record, so that no record can be trusted."""

    remedy = Remedy.UPLOAD
    next_step = _FIX_AND_UPLOAD


class WrongEnvelopeError(PipelineError):
    """The document is JSON, but its records are not where the contract says."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Correct the file and upload it again; or set input.records in the contract to where its records are, deploy, "
        "and run the batch again."
    )


class EmptyFileError(PipelineError):
    """The object holds no record at all."""

    remedy = Remedy.UPLOAD
    next_step = "If the file should have had records, upload it again; otherwise nothing needs to be done."


class NoValidRecordsError(PipelineError):
    """Every record of the file breaks the contract."""

    remedy = Remedy.UPLOAD
    next_step = "Read the rejects, correct the records and upload the file again."


class TooManyRejectsError(PipelineError):
    """The share of rejected records, or of bytes that can't be read as records, is above `max_reject_ratio`."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Read the rejects, correct the records and upload the file again; "
        "or raise max_reject_ratio, deploy, and run the batch again."
    )


class RejectVolumeError(PipelineError):
    """The rejects of one chunk take more than `max_reject_bytes`."""

    remedy = Remedy.UPLOAD_OR_REPLAY
    next_step = (
        "Look at the sample: so many rejects have few causes. Correct the records and upload the file again, "
        "or raise max_reject_bytes with the function's disk, deploy, and run the batch again."
    )


class ReconciliationError(PipelineError):
    """The books do not balance; nothing is published."""

    next_step = (
        "If the cause names a table, correct its SQL, key or latest_by in the contract, deploy, and run the batch "
        "again. Otherwise run the batch again: staging may have expired, or a deploy may have come in between. If it "
        "fails again, report it with the batch."
    )


class DocumentError(PipelineError):
    """A document that the pipeline stored, such as a manifest or a failure record, can't be read as one."""

    next_step = (
        "If the cause names a key under staging/, run the batch again. Otherwise restore the version of the object "
        "that the pipeline wrote, and then run the batch again."
    )


class CommitConflictError(PipelineError):
    """Another run committed this batch with different bytes; its manifest stands."""

    remedy = Remedy.INVESTIGATE
    next_step = "Compare the two releases; publish again as a new revision if the committed one is wrong."


def next_step_for(error: str) -> str:
    """What a person does about the error named `error`; general advice for a name that is neither ours nor AWS's."""
    return next_step_of_aws(error) or _BY_NAME.get(error, PipelineError).next_step


def remedy_for(error: str) -> Remedy:
    """What makes a file succeed that failed with the error named `error`."""
    if error in PASSING:
        return Remedy.REPLAY
    return _BY_NAME.get(error, PipelineError).remedy
