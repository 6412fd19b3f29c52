"""Clients of AWS, by botocore alone: boto3 around it takes long to load, and only large objects need a part of it."""

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import Session

from functions.common.errors import TransientError

if TYPE_CHECKING:
    from s3transfer.manager import TransferConfig


@cache
def session() -> Session:
    """The process's session, which holds the services' models."""
    made = Session()
    made.register("creating-client-class.s3", _add_transfers)
    return made


def client(service: str, config: Config) -> Any:
    """A new client of a service. One of S3 has `upload_file` and `download_file`, called as boto3's are."""
    return session().create_client(service, config=config)


def make_at_start(make: Callable[[], object]) -> None:
    """Call on Lambda already while the environment starts what is else called on first use.

    A function then has a whole processor, however little of one comes with its memory.
    """
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:
        make()


def _add_transfers(**made: Any) -> None:
    made["class_attributes"].update(upload_file=_upload_file, download_file=_download_file)


# s3transfer is loaded where an object is large: it takes as long as a small file does.


def _upload_file(
    client: Any, Filename: str, Bucket: str, Key: str, ExtraArgs: Any = None, Config: "TransferConfig | None" = None
) -> None:
    """Copy a file to an object in parts. Raises what botocore raises."""
    from s3transfer.manager import TransferManager

    with TransferManager(client, Config) as manager:
        manager.upload(Filename, Bucket, Key, ExtraArgs).result()


def _download_file(client: Any, Bucket: str, Key: str, Filename: str, Config: "TransferConfig | None" = None) -> None:
    """Copy an object to a file in parts. Raises what botocore raises, and TransientError."""
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
    from s3transfer.manager import TransferManager

    try:
        with TransferManager(client, Config) as manager:
            manager.download(Bucket, Key, Filename).result()
    except RetriesExceededError as exc:
        lost = type(exc.last_exception).__name__
        raise TransientError(f"GET s3://{Bucket}/{Key}: the connection failed ({lost}).") from exc
    except S3DownloadFailedError as exc:  # another run of the batch writes what this one reads in several requests
        raise TransientError(f"GET s3://{Bucket}/{Key}: the object was replaced while it was read.") from exc
