"""Creates AWS clients with botocore only. boto3 takes long to load, and only large objects need a part of it."""

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
    """Return the botocore session of this process, which caches the service models."""
    session = Session()
    session.register("creating-client-class.s3", _add_transfers)
    return session


def client(service: str, config: Config) -> Any:
    """Create a client for a service. An S3 client has `upload_file` and `download_file`, as in boto3."""
    return session().create_client(service, config=config)


def make_at_start(make: Callable[[], object]) -> None:
    """On Lambda, call `make` while the environment starts instead of on first use.

    During initialization, a function has a full vCPU, independent of its memory size.
    """
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:
        make()


def _add_transfers(**event: Any) -> None:
    event["class_attributes"].update(upload_file=_upload_file, download_file=_download_file)


# s3transfer is imported only for large objects: loading it takes as long as processing a small file.


def _upload_file(
    client: Any, Filename: str, Bucket: str, Key: str, ExtraArgs: Any = None, Config: "TransferConfig | None" = None
) -> None:
    """Upload a file in parts. Raises botocore's errors."""
    from s3transfer.manager import TransferManager

    with TransferManager(client, Config) as manager:
        manager.upload(Filename, Bucket, Key, ExtraArgs).result()


def _download_file(client: Any, Bucket: str, Key: str, Filename: str, Config: "TransferConfig | None" = None) -> None:
    """Download an object in parts. Raises botocore's errors, and TransientError if the connection fails."""
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
    from s3transfer.manager import TransferManager

    try:
        with TransferManager(client, Config) as manager:
            manager.download(Bucket, Key, Filename).result()
    except RetriesExceededError as exc:
        lost = type(exc.last_exception).__name__
        raise TransientError(f"GET s3://{Bucket}/{Key}: the connection failed ({lost}).") from exc
    except S3DownloadFailedError as exc:  # another run of the batch replaced the object between two requests
        raise TransientError(f"GET s3://{Bucket}/{Key}: the object was replaced while it was read.") from exc
