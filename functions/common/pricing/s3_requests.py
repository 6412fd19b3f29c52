"""Calculates the number of S3 requests of a run, from a list of the objects that each function reads and writes.

`tests/integration/test_calls.py` compares the results with the calls of the real functions.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import NamedTuple, Self

MULTIPART_BYTES = 64 << 20
PART_BYTES = 16 << 20
"""The size of the parts in which functions/common/s3_utils.py transfers objects of MULTIPART_BYTES or more."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The number of requests in each of S3's price classes."""

    put: int = 0
    """The number of PUT, COPY, POST and LIST requests."""
    get: int = 0
    """The number of GET, HEAD and all other requests."""

    def __add__(self, other: Self) -> "Calls":
        return Calls(self.put + other.put, self.get + other.get)

    def times(self, factor: Fraction) -> "Calls":
        """Return the numbers multiplied by `factor`, rounded up."""
        return Calls(ceil(self.put * factor), ceil(self.get * factor))


def put(_bytes: int) -> Calls:
    """Return the requests of PutObject."""
    return Calls(put=1)


def get(_bytes: int) -> Calls:
    """Return the requests of GetObject."""
    return Calls(get=1)


def upload(n_bytes: int) -> Calls:
    """Return the requests of an upload: PutObject, or CreateMultipartUpload, UploadPart and CompleteMultipartUpload."""
    return Calls(put=1 if n_bytes < MULTIPART_BYTES else 2 + _parts(n_bytes))


def download(n_bytes: int) -> Calls:
    """Return the requests of a download: GetObject, or HeadObject and one GetObject per part of a large object."""
    return Calls(get=1 if n_bytes < MULTIPART_BYTES else 2 + _parts(n_bytes))


def download_unless_empty(n_bytes: int) -> Calls:
    return download(n_bytes) if n_bytes else Calls()


def _parts(n_bytes: int) -> int:
    return -(-n_bytes // PART_BYTES)


class Staged(NamedTuple):
    """The functions that write and read one kind of object in staging, and the requests that each makes."""

    written_by: str
    write: Callable[[int], Calls]
    read_by: str
    read: Callable[[int], Calls]


STAGED: Mapping[str, Staged] = {
    "records.parquet": Staged("validate", upload, "transform", download),
    "rejected.jsonl": Staged("validate", upload, "write", download_unless_empty),
    "counts.json": Staged("validate", put, "write", get),
}
"""The staged objects by name. All other staged objects are parts of tables."""

PART = Staged("transform", upload, "write", download)

OUTSIDE_MACHINE = {
    "starter": Calls(get=1),  # HEAD of the object version
    "record_run": Calls(put=2, get=1),  # put: listing of staging, run record; get: manifest
}
"""The requests of the functions that run once per execution, outside the state machine."""

FAILURE_IN_MACHINE, FAILURE_OUTSIDE = Calls(put=1, get=2), Calls(put=2, get=3)
"""The requests of record_failure when the state machine calls it, and when EventBridge calls it again."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects that a run read and wrote. Sizes are in bytes."""

    chunks: int
    source: int
    staged: Sequence[tuple[str, int]]
    """The name and size of each object in staging."""
    outputs: Sequence[int] = ()
    """The sizes of the published objects, including the rejects file. Empty if nothing was published."""
    superseded: int = 0
    """The number of superseded records. `write` reads the chunks that contain them again."""

    @property
    def staged_bytes(self) -> int:
        return sum(size for _, size in self.staged)


def calls_of(objects: Objects) -> dict[str, Calls]:
    """Return the requests of each function in the state machine by name, if every step and chunk runs once."""
    calls: dict[str, Calls] = defaultdict(Calls)
    calls["validate"] += Calls(get=objects.chunks if objects.source else 0)
    for name, size in objects.staged:
        staged = STAGED.get(name, PART)
        calls[staged.written_by] += staged.write(size)
        calls[staged.read_by] += staged.read(size)
    calls["write"] += Calls(get=1)  # checks for a manifest
    calls["write"] += Calls(get=min(objects.superseded, objects.chunks))
    for size in objects.outputs:
        calls["write"] += upload(size)
    calls["write"] += Calls(put=1 if objects.outputs else 0)  # the manifest
    return dict(calls)
