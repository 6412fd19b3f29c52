"""Large attacks, each generated block by block, and a command that measures how much reading one takes.

    python -m tests.hostile.attacks [NAME]

prints one line of JSON per attack (all of ATTACKS in sequence if there is no NAME): the outcome of the file, the
maximum growth of the process in bytes so far, and the seconds.
"""

import gzip
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from functions.common import sql
from functions.common.batch import Batch, Source
from functions.common.errors import PipelineError
from functions.common.source.chunk import open_chunk
from functions.validate.validation import validate_chunk
from tests.unit.orders import CONTRACT, lines, order

MIB, GIB = 1 << 20, 1 << 30
MAX_RECORD_BYTES = 8 * MIB
LIMITS: Any = SimpleNamespace(
    max_object_bytes=5 * GIB,
    max_inflated_bytes=5 * GIB,
    max_inflation_ratio=200,
    max_record_bytes=MAX_RECORD_BYTES,
    max_nesting=64,
    max_reject_bytes=16 * MIB,
    unknown_fields="reject",
)
GOOD = lines([order(order_id="good")])


@dataclass(frozen=True)
class Attack:
    """A stored file, the size that S3 reports for it, and its expected outcome."""

    name: str
    blocks: Callable[[], Iterator[bytes]]
    outcome: str
    """`valid, rejected: reasons`, or the name of the error."""
    most: int = 96 * MIB
    """By how many bytes the process may grow: a few blocks, and one record of 8 MiB that is read and written."""
    size: int = GIB


def repeated(opening: bytes, part: bytes, times: int, closing: bytes) -> Callable[[], Iterator[bytes]]:
    """`opening`, then `part` repeated `times` times, then `closing`, in blocks of a MiB or one part."""

    def blocks() -> Iterator[bytes]:
        yield opening
        in_block = max(1, MIB // len(part))
        block, left = part * in_block, times
        while left >= in_block:
            yield block
            left -= in_block
        yield part * left + closing

    return blocks


def line(hostile: Callable[[], bytes]) -> Callable[[], Iterator[bytes]]:
    """One line of hostile JSON between two valid ones, in blocks of a MiB."""

    def blocks() -> Iterator[bytes]:
        data = b"".join([GOOD, hostile(), b"\n", SECOND])
        return (data[at : at + MIB] for at in range(0, len(data), MIB))

    return blocks


def keys(number: int) -> bytes:
    return b",".join(b'"%x":0' % key for key in range(number))


def small(record: bytes) -> int:
    """How many times a part fits into a record just below the cap."""
    return (MAX_RECORD_BYTES - 1000) // len(record)


EMPTY_MEMBER = gzip.compress(b"", mtime=0)
TINY_MEMBER = gzip.compress(b"{}\n", mtime=0)
TENTH = b'[1,22,333,4444,5.5,6e6,true,null,"x",{}],'
PLAIN = GOOD.strip()
SECOND = GOOD.replace(b"good", b"also")
UP_TO_ITEMS, AFTER_ITEMS = re.split(rb"(?<=\"items\":)\[.*\]", GOOD)
GZIPPED_SPACES = gzip.compress(b" " * (4 * MIB), 1)

PARSED_RECORD_BYTES = 512 * MIB
"""The memory limit for one record of 8 MiB that is parsed to millions of values."""
EXPLAINED_RECORD_BYTES = 1400 * MIB
"""The limit if jsonschema-rs copies the record twice to explain an error. The function has 1,769 MiB."""

ATTACKS = {
    "a line of 100 MB": Attack(
        "x.jsonl", repeated(GOOD + b'{"a":"', b"x", 100 * MIB, b'"}\n' + SECOND), "2, 1: record_too_large 1"
    ),
    "an element of 100 MB": Attack(
        "x.json", repeated(b"[" + PLAIN + b',{"a":"', b'\\"]},', 20 * MIB, b'"}]'), "1, 1: record_too_large 1"
    ),
    "a document of one value of 100 MB": Attack(
        "x.json", repeated(b'{"order_id":"', b"x", 100 * MIB, b'"}'), "RecordTooLargeError"
    ),
    "100 MB of whitespace": Attack("x.json", repeated(b" ", b"\n", 100 * MIB, b" "), "0, 0: "),
    "100 MB of whitespace in an array": Attack("x.json", repeated(b"[", b"\n", 100 * MIB, b"]"), "0, 0: "),
    "3 MB of blank lines": Attack("x.jsonl", repeated(GOOD, b"\n", 3 * MIB, b" "), "1, 0: "),
    "100 MB of opening brackets": Attack("x.json", repeated(b"[", b"[", 100 * MIB, b""), "MalformedDocumentError"),
    "100 MB of closing brackets": Attack("x.json", repeated(b"[", b"]", 100 * MIB, b""), "MalformedDocumentError"),
    "5 million empty strings": Attack(
        "x.json", repeated(b'[["', b'","', 5_000_000, b'"]]'), "0, 1: record_too_large 1"
    ),
    "100 MB of commas": Attack("x.json", repeated(b"[", b",", 100 * MIB, b"]"), "MalformedDocumentError"),
    "50 MB of backslashes in a string": Attack(
        "x.json", repeated(b'["', b"\\", 50 * MIB, b'"]'), "0, 1: record_too_large 1"
    ),
    "100 MB after the array": Attack("x.json", repeated(b"[]", b"x", 100 * MIB, b""), "MalformedDocumentError"),
    "100,000-deep arrays": Attack(
        "x.jsonl", line(lambda: b"[" * 100_000 + b"]" * 100_000), "2, 1: nested_too_deeply 1"
    ),
    "4 million levels": Attack(
        "x.jsonl", line(lambda: b"[" * 4_000_000 + b"]" * 4_000_000), "2, 1: nested_too_deeply 1"
    ),
    "8 million digits": Attack(
        "x.jsonl", line(lambda: b'{"order_id":' + b"9" * 8_000_000 + b"}"), "2, 1: non_finite_number 1"
    ),
    "8 million decimals": Attack(
        "x.jsonl", line(lambda: b'{"order_id":0.' + b"3" * 8_000_000 + b"}"), "2, 1: missing_field 1"
    ),
    "an exponent of 8 million digits": Attack(
        "x.jsonl", line(lambda: b'{"order_id":1e' + b"9" * 8_000_000 + b"}"), "2, 1: non_finite_number 1"
    ),
    "a million escapes": Attack(
        "x.jsonl", line(lambda: b'{"order_id":"' + rb"\ud83d\ude00" * 690_000 + b'"}'), "2, 1: missing_field 1"
    ),
    "a million lone surrogates": Attack(
        "x.jsonl", line(lambda: b'{"order_id":"' + rb"\ud83d" * 1_300_000 + b'"}'), "2, 1: lone_surrogate 1"
    ),
    "8 MB of Latin-1": Attack(
        "x.jsonl", line(lambda: b'{"order_id":"' + b"\xe9" * 8_000_000 + b'"}'), "2, 1: not_utf8 1"
    ),
    "many lines of two bytes": Attack("x.jsonl", repeated(GOOD, b"{}\n", 100_000, b""), "RejectVolumeError"),
    "100,000 empty gzip members": Attack("x.json.gz", repeated(EMPTY_MEMBER, EMPTY_MEMBER, 100_000, b""), "0, 0: "),
    "one gzip member per record": Attack(
        "x.jsonl.gz", repeated(gzip.compress(GOOD), TINY_MEMBER, 1_000, b""), "1, 1000: missing_field 1000"
    ),
    "a name of 2 MB in a gzip header": Attack(
        "x.jsonl.gz",
        repeated(EMPTY_MEMBER[:3] + b"\x08" + EMPTY_MEMBER[4:10], b"x", 2 * MIB, b"\0" + gzip.compress(GOOD)[10:]),
        "1, 0: ",
    ),
    "2 MB of zeros after the gzip data": Attack(
        "x.jsonl.gz", repeated(gzip.compress(GOOD), b"\0", 2 * MIB, b""), "1, 0: "
    ),
    "gzip in gzip": Attack(
        "x.json.gz", lambda: iter([gzip.compress(gzip.compress(GOOD * 1000))]), "UnsupportedFormatError"
    ),
    "a bomb of a gigabyte": Attack(
        "x.jsonl.gz", repeated(GZIPPED_SPACES, GZIPPED_SPACES, 256, b""), "InflatedTooLargeError", size=4 * MIB
    ),
    "4 million combining characters": Attack(
        "x.jsonl",
        line(lambda: UP_TO_ITEMS + b'"e' + b"\xcc\x81" * 4_000_000 + b'"' + AFTER_ITEMS),
        "2, 1: wrong_type 1",
        PARSED_RECORD_BYTES,
    ),
    "a million duplicate keys": Attack(
        "x.jsonl", line(lambda: b"{" + b'"a":0,' * 1_000_000 + b'"a":1}'), "2, 1: missing_field 1", PARSED_RECORD_BYTES
    ),
    "8 MB of broken JSON": Attack(
        "x.jsonl", line(lambda: b'{"items":[' + TENTH * small(TENTH) + b"0]]}"), "2, 1: not_json 1", PARSED_RECORD_BYTES
    ),
    "700,000 keys in an object": Attack(
        "x.jsonl",
        line(lambda: b"{" + keys(700_000) + b"," + GOOD[1:].strip()),
        "2, 1: unknown_field 1",
        PARSED_RECORD_BYTES,
    ),
    "8 MB of values of all types": Attack(
        "x.jsonl",
        line(lambda: UP_TO_ITEMS + b"[" + TENTH * small(TENTH) + b"0]" + AFTER_ITEMS.strip()),
        "2, 1: bad_length 1",
        PARSED_RECORD_BYTES,
    ),
    "a million objects": Attack(
        "x.jsonl",
        line(lambda: UP_TO_ITEMS + b"[" + b'{"a":0},' * small(b'{"a":0},') + b"{}]" + AFTER_ITEMS.strip()),
        "2, 1: bad_length 1",
        EXPLAINED_RECORD_BYTES,
    ),
}
"""Ordered by memory limit, because a process only reports its maximum so far."""

LONG = {
    "one line of 4 GB": Attack(
        "x.jsonl", repeated(GOOD + b'{"a":"', b"x", 4 * GIB, b'"}\n'), "1, 1: record_too_large 1"
    ),
    "an array of 4 GB on one line": Attack(
        "x.json",
        repeated(b"[" + PLAIN, b"," + PLAIN, 4 * GIB // len(PLAIN), b"]"),
        f"{4 * GIB // len(PLAIN) + 1}, 0: ",
        PARSED_RECORD_BYTES,
    ),
    "4 GB of blanks": Attack("x.json", repeated(b" ", b"\n", 4 * GIB, b" "), "0, 0: "),
    "a million empty gzip members": Attack("x.json.gz", repeated(EMPTY_MEMBER, EMPTY_MEMBER, 1_000_000, b""), "0, 0: "),
    "a million lines of two bytes": Attack("x.jsonl", repeated(GOOD, b"{}\n", 1_000_000, b""), "RejectVolumeError"),
}


def run(attack: Attack) -> str:
    """The outcome of the file: `valid, rejected: reasons`, or the name of the error."""
    source = Source("ingest", f"incoming/orders/{attack.name}", "v1", attack.size, "etag", "")
    batch = Batch("orders", "orders-1", 1, source, "2026-01-02T03:04:05Z", 1 << 40, 0)
    with tempfile.TemporaryDirectory() as folder, sql.connect(Path(folder), 512) as connection:
        try:
            counts = validate_chunk(
                lambda: open_chunk(batch, 0, CONTRACT, LIMITS, lambda _: attack.blocks()),
                CONTRACT,
                batch,
                0,
                Path(folder),
                connection,
                LIMITS,
            )
        except PipelineError as error:
            return type(error).__name__
    assert counts.received == counts.valid + counts.rejected
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts.rejected_by_reason.items())
    return f"{counts.valid}, {counts.rejected}: {reasons}"


def measure(attacks: Mapping[str, Attack]) -> Iterator[Mapping[str, Any]]:
    """The outcome of each attack. The libraries are loaded before the growth is measured."""
    run(Attack("x.jsonl", lambda: iter([GOOD + b"{}\n[\n"]), ""))
    before = _peak()
    for name, attack in attacks.items():
        started = time.perf_counter()
        outcome = run(attack)
        seconds = round(time.perf_counter() - started, 1)
        yield {"name": name, "outcome": outcome, "grown": _peak() - before, "seconds": seconds}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    known = {**ATTACKS, **LONG}
    for result in measure({sys.argv[1]: known[sys.argv[1]]} if sys.argv[1:] else ATTACKS):
        print(json.dumps(result), flush=True)
