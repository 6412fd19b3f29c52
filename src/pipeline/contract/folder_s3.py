"""A folder in place of S3: as much of boto3's client as the functions call, without a network and almost for free."""

import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


class FolderS3:
    """`<root>/<bucket>/<key>` is an object. There are no versions: any version id names the one that is there.

    Files go in and out as hard links where the file system allows, so that what takes time is the functions' own
    work. Answers have boto3's shape; what is missing is a ClientError with 404, and a conditional write 412. `on_read`
    is told of each read from an object: its key, and how far the read got in it, in bytes.
    """

    def __init__(self, root: Path, on_read: Callable[[str, int], object] = lambda _key, _at: None) -> None:
        self._root = root
        self._on_read = on_read
        self._metadata: dict[Path, dict[str, str]] = {}

    def head_object(self, *, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:
        path = self._existing(Bucket, Key, "HeadObject")
        return {**_described(path), "Metadata": self._metadata.get(path, {})}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        path = self._existing(Bucket, Key, "GetObject")
        answer, size = _described(path), path.stat().st_size
        file = path.open("rb")
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", Range):
            first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
            file.seek(first)
            answer |= {"ContentRange": f"bytes {first}-{last}/{size}", "ContentLength": last + 1 - first}
        body: Any = _Limited(file, answer["ContentLength"], lambda: self._on_read(Key, file.tell()))
        return {**answer, "Body": StreamingBody(body, answer["ContentLength"])}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        IfNoneMatch: str = "",
        Metadata: dict[str, str] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        path = self._root / Bucket / Key
        if IfNoneMatch and path.exists():
            raise _error("PreconditionFailed", 412, "PutObject")
        if isinstance(Body, bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(Body)
        else:
            _place(Path(Body.name), path)
        self._metadata[path] = Metadata or {}
        return _described(path)

    def upload_file(self, Filename: str, Bucket: str, Key: str, ExtraArgs: Any = None, **_: Any) -> None:
        path = self._root / Bucket / Key
        _place(Path(Filename), path)
        self._metadata[path] = (ExtraArgs or {}).get("Metadata", {})

    def download_file(self, Bucket: str, Key: str, Filename: str, **_: Any) -> None:
        _place(self._existing(Bucket, Key, "GetObject"), Path(Filename))

    def _existing(self, bucket: str, key: str, operation: str) -> Path:
        path = self._root / bucket / key
        if not path.is_file():
            raise _error("NoSuchKey", 404, operation)
        return path


class _Limited:
    """The next `left` bytes of a file, as the body of an answer."""

    def __init__(self, file: Any, left: int, on_read: Callable[[], object]) -> None:
        self._file, self._left, self._on_read = file, left, on_read

    def read(self, amount: int | None = None) -> bytes:
        data: bytes = self._file.read(self._left if amount is None else min(amount, self._left))
        self._left -= len(data)
        self._on_read()
        return data

    def close(self) -> None:
        self._file.close()


def _described(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "ContentLength": status.st_size,
        "ETag": f'"{status.st_ino:x}"',
        "LastModified": datetime.fromtimestamp(int(status.st_mtime), UTC),
        "VersionId": "1",
    }


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _error(code: str, status: int, operation: str) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
