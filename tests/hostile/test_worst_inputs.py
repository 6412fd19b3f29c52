"""The worst layouts of values run within memory and time, or fail with a clear error."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import orjson
import pytest

from functions.common.errors import MalformedDocumentError, PipelineError
from functions.common.source.content import LINES, SEQUENCE
from functions.common.source.documents import Document, read_as_lines, read_sequence
from tests.unit.orders import order
from tests.unit.reading import read_document

pytestmark = pytest.mark.slow

CAP = 8 << 20
MIB = 1 << 20
RECORD = orjson.dumps(order())
BLOCK = 1 << 18
FIELDS = ("order_id",)


def repeated(piece: bytes, n_bytes: int, before: bytes = b"", after: bytes = b"") -> Iterator[bytes]:
    """About `n_bytes` of a piece over and over, in blocks."""
    block = piece * (BLOCK // len(piece) + 1)
    return chain([before + block], repeat(block, n_bytes // len(block)), [after])


def lines(blocks: Iterator[bytes]) -> Document:
    return read_as_lines(blocks, ("orders",), CAP)


def sequence(blocks: Iterator[bytes]) -> Document:
    return read_sequence(blocks, ("orders",), FIELDS, CAP)


def counted(document: Document) -> tuple[int, int, int]:
    """How many records a document has, how many are oversize, and how many bytes they have together."""
    records = oversize = n_bytes = 0
    for record in document.records:
        records, oversize, n_bytes = records + 1, oversize + record.oversize, n_bytes + record.length
    return records, oversize, n_bytes


WORST: dict[str, tuple[Callable[[], Document], Callable[[int, int], bool]]] = {
    "a line of 9 MB with many objects": (
        lambda: lines(repeated(RECORD, 9_500_000, after=b"\n{}\n")),
        lambda records, oversize: records > 14_000 and not oversize,
    ),
    "20 MB of objects without a newline": (
        lambda: sequence(repeated(RECORD, 20 * MIB)),
        lambda records, oversize: records > 30_000 and not oversize,
    ),
    "20 MB of objects with commas and no newline": (
        lambda: sequence(repeated(RECORD + b",", 4 * MIB)),
        lambda records, oversize: records > 6_000 and not oversize,
    ),
    "20 MB of one string without a newline": (
        lambda: lines(repeated(b"x", 20 * MIB, before=b'{"a":"')),
        lambda records, oversize: (records, oversize) == (1, 1),
    ),
    "20 MB that opens and never closes": (
        lambda: lines(repeated(b'[{"a":', 10 * MIB)),
        lambda records, oversize: (records, oversize) == (1, 1),
    ),
    "a million empty lines": (
        lambda: lines(repeated(b"\n", MIB, before=RECORD, after=RECORD)),
        lambda records, oversize: records == 2,
    ),
    "a million empty lines in a sequence": (
        lambda: sequence(repeated(b"\n", MIB, before=RECORD, after=RECORD)),
        lambda records, oversize: records == 2,
    ),
    "a sequence that breaks and has no newline after it": (
        lambda: sequence(repeated(b"x", 20 * MIB, before=RECORD + b"}")),
        lambda records, oversize: (records, oversize) == (2, 1),
    ),
    "lines that all break": (
        lambda: sequence(repeated(b'{"a": "x\n', MIB, before=RECORD)),
        lambda records, oversize: records > 100_000,
    ),
    "objects cut off in the middle": (
        lambda: sequence(repeated(RECORD[:-100] + b"\n", 2 * MIB)),
        lambda records, oversize: records > 3_000,
    ),
    "objects of which each is broken": (
        lambda: sequence(repeated(RECORD.replace(b":", b" ", 1), 2 * MIB, before=RECORD)),
        lambda records, oversize: records > 3_000,
    ),
    "an envelope whose other members are many": (
        lambda: sequence(repeated(RECORD + b",", 8 * MIB, b'{"n":' + b"[" * 5 + b"]" * 5 + b',"orders":[', b"{}]}")),
        lambda records, oversize: records > 12_000,
    ),
}


@pytest.mark.parametrize("name", WORST)
def test_it_is_read_within_memory_and_time(name: str) -> None:
    opened, is_right = WORST[name]
    started = time.process_time()
    records, oversize, _ = counted(opened())
    seconds = time.process_time() - started
    assert is_right(records, oversize), (records, oversize)
    assert seconds < 30, f"it took {seconds:.0f} s"


@pytest.mark.parametrize(("piece", "before"), [(RECORD, b""), (b"x", RECORD + b"}"), (b"x", b'{"a":"')])
def test_it_holds_little(piece: bytes, before: bytes) -> None:
    document = read_sequence(repeated(piece, 12 * MIB, before, b'"}{}'), ("orders",), FIELDS, MIB)
    tracemalloc.start()
    try:
        counted(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * MIB


def test_a_document_that_only_opens_fails_and_says_so() -> None:
    with pytest.raises(MalformedDocumentError, match="is incomplete after"):
        counted(sequence(repeated(b'[{"a":', 10 * MIB, before=b'{"b":')))


@pytest.mark.parametrize("by_name", [LINES, SEQUENCE])
def test_a_gigabyte_without_a_newline_is_a_sequence_regardless_of_its_name(by_name: str) -> None:
    head = b"".join(repeated(RECORD, 100_000))
    try:
        document = read_document(iter([head]), "orders", FIELDS, CAP, by_name)
        assert counted(document)[0] > 100
    except PipelineError as error:
        pytest.fail(str(error))
