"""Stores objects in a folder instead of S3."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from functions.common.s3_utils import BLOCK_BYTES, Storage


class FolderStorage(Storage):
    """Objects are files `<root>/<bucket>/<key>` without versions: any version ID returns the current content.

    Uploads and downloads are hard links if the file system supports them. After each read of an object, `on_read` is
    called with its key and the offset in bytes.
    """

    def __init__(self, root: Path, on_read: Callable[[str, int], object] = lambda _key, _at: None) -> None:
        self._root = root
        self._on_read = on_read
        self._metadata: dict[Path, Mapping[str, str]] = {}

    def head(self, bucket: str, key: str, version_id: str | None = None) -> dict[str, Any] | None:
        path = self._root / bucket / key
        if not path.is_file():
            return None
        status = path.stat()
        return {
            "ContentLength": status.st_size,
            "ETag": f'"{status.st_ino:x}"',
            "LastModified": datetime.fromtimestamp(int(status.st_mtime), UTC),
            "Metadata": dict(self._metadata.get(path, {})),
        }

    def read_beginning(
        self, bucket: str, key: str, version_id: str, n_bytes: int
    ) -> tuple[dict[str, Any], bytes] | None:
        head = self.head(bucket, key, version_id)
        if head is None:
            return None
        with self._existing(bucket, key).open("rb") as file:
            return head, file.read(n_bytes)

    def read_blocks(self, bucket: str, key: str, version_id: str, start: int = 0) -> Iterator[bytes]:
        with self._existing(bucket, key).open("rb") as file:
            file.seek(start)
            while block := file.read(BLOCK_BYTES):
                start += len(block)
                self._on_read(key, start)
                yield block

    def get_bytes(self, bucket: str, key: str) -> bytes | None:
        path = self._root / bucket / key
        return path.read_bytes() if path.is_file() else None

    def put_bytes(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> None:
        path = self._root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # the file may be a hard link
        path.write_bytes(data)

    def put_new(self, bucket: str, key: str, data: bytes, *, content_type: str = "application/json") -> bool:
        if (self._root / bucket / key).exists():
            return False
        self.put_bytes(bucket, key, data)
        return True

    def download(self, bucket: str, key: str, path: Path) -> None:
        _link(self._existing(bucket, key), path)

    def upload(
        self, path: Path, bucket: str, key: str, content_type: str, metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        target = self._root / bucket / key
        _link(path, target)
        self._metadata[target] = metadata

    def list_objects(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        root = self._root / bucket
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            if (key := path.relative_to(root).as_posix()).startswith(prefix):
                yield key, path.stat().st_size

    def _existing(self, bucket: str, key: str) -> Path:
        path = self._root / bucket / key
        if not path.is_file():
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return path


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
