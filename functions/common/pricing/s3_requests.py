"""How many requests a run makes of S3. What each function writes and reads, and how, is said here and nowhere else.

`tests/integration/test_calls.py` counts the real functions' calls and holds this to them.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import NamedTuple, Self

MULTIPART_BYTES = 64 << 20
PART_BYTES = 16 << 20
"""How functions/common/s3_utils.py cuts transfers: from MULTIPART_BYTES on into parts of PART_BYTES."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Requests, by what S3 charges for them."""

    put: int = 0
    """PUT, COPY, POST and LIST."""
    get: int = 0
    """GET, HEAD and all others."""

    def __add__(self, other: Self) -> "Calls":
        return Calls(self.put + other.put, self.get + other.get)

    def times(self, factor: Fraction) -> "Calls":
        """So many times these, rounded up."""
        return Calls(ceil(self.put * factor), ceil(self.get * factor))


def put(_bytes: int) -> Calls:
    """PutObject."""
    return Calls(put=1)


def get(_bytes: int) -> Calls:
    """GetObject."""
    return Calls(get=1)


def upload(n_bytes: int) -> Calls:
    """PutObject, or CreateMultipartUpload, a part after the other, and CompleteMultipartUpload."""
    return Calls(put=1 if n_bytes < MULTIPART_BYTES else 2 + _parts(n_bytes))


def download(n_bytes: int) -> Calls:
    """GetObject; of a large object that is broken off for HeadObject and GetObject of one part after the other."""
    return Calls(get=1 if n_bytes < MULTIPART_BYTES else 2 + _parts(n_bytes))


def download_unless_empty(n_bytes: int) -> Calls:
    return download(n_bytes) if n_bytes else Calls()


def _parts(n_bytes: int) -> int:
    return -(-n_bytes // PART_BYTES)


class Staged(NamedTuple):
    """One kind of object in staging: which function writes it and how, and which reads it."""

    written_by: str
    write: Callable[[int], Calls]
    read_by: str
    read: Callable[[int], Calls]


STAGED: Mapping[str, Staged] = {
    "records.parquet": Staged("validate", upload, "transform", download),
    "rejected.jsonl": Staged("validate", upload, "write", download_unless_empty),
    "counts.json": Staged("validate", put, "write", get),
}
"""By name; every other object is a table's part."""

PART = Staged("transform", upload, "write", download)

BESIDE = {
    "starter": Calls(get=1),  # the version's HEAD
    "record_run": Calls(put=2, get=1),  # a listing of staging and the record; the manifest
}
"""What the functions that run once an execution, beside the state machine, call."""

FAILURE_IN_MACHINE, FAILURE_OUTSIDE = Calls(put=1, get=2), Calls(put=2, get=3)
"""What record_failure calls: for the state machine, and once more when EventBridge tells of the end."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What a run read and wrote; sizes are in bytes."""

    chunks: int
    source: int
    staged: Sequence[tuple[str, int]]
    """Name and size of each object in staging."""
    outputs: Sequence[int] = ()
    """The sizes of what was published, rejects included; empty where nothing was."""
    superseded: int = 0
    """Records that are superseded: `write` reads their chunks of the source once more, at most one for each."""

    @property
    def staged_bytes(self) -> int:
        return sum(size for _, size in self.staged)


def calls_of(objects: Objects) -> dict[str, Calls]:
    """The requests of each function that the state machine runs, each chunk and each step done once."""
    calls: dict[str, Calls] = defaultdict(Calls)
    calls["validate"] += Calls(get=objects.chunks if objects.source else 0)
    for name, size in objects.staged:
        staged = STAGED.get(name, PART)
        calls[staged.written_by] += staged.write(size)
        calls[staged.read_by] += staged.read(size)
    calls["write"] += Calls(get=1)  # is it committed already?
    calls["write"] += Calls(get=min(objects.superseded, objects.chunks))
    for size in objects.outputs:
        calls["write"] += upload(size)
    calls["write"] += Calls(put=1 if objects.outputs else 0)  # the manifest
    return dict(calls)
