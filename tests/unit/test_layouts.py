"""The same values give the same records in the same order, in any layout and however it is cut."""

import bz2
import gzip
import json
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import pytest
from backports import zstd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from functions.common.source.compression import decompress
from functions.common.source.content import LINES, SEQUENCE
from functions.common.source.raw import RawRecord
from tests.unit.reading import cut, json_values, read_document, records_of

CAP = 10_000
ENVELOPE = "records"

strings = st.text(st.sampled_from('[]{},:"\\ \n\r\tax0é日😀\u2028'), max_size=8)
inner = json_values(strings, 3, 8)
objects = st.dictionaries(strings, inner, max_size=4)
values = st.lists(objects | objects | st.integers() | strings | st.none(), min_size=2, max_size=8)
"""Records and other values, but no arrays: the elements of an array are records themselves."""

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=4)


def written(found: list[Any], **options: Any) -> list[str]:
    return [json.dumps(value, ensure_ascii=False, **options) for value in found]


def commas(found: list[Any], between: str) -> str:
    return between.join(written(found))


LAYOUTS: Mapping[str, Callable[[list[Any]], str]] = {
    "lines": lambda found: "\n".join(written(found)),
    "lines with commas": lambda found: commas(found, ",\n") + ",\n",
    "CRLF lines": lambda found: "\r\n".join(written(found)) + "\r\n",
    "several on a line": lambda found: "".join(map(str.__add__, written(found), cycle([" ", "\n", ", "]))),
    "spaces between": lambda found: " ".join(written(found)),
    "commas between": lambda found: commas(found, ","),
    "pretty-printed": lambda found: "\n".join(written(found, indent=2)),
    "pretty-printed with commas": lambda found: ",\n".join(written(found, indent="\t")),
    "array": lambda found: json.dumps(found),
    "pretty-printed array": lambda found: json.dumps(found, indent=1),
    "arrays": lambda found: json.dumps(found[:1]) + json.dumps(found[1:]),
    "arrays on lines": lambda found: json.dumps(found[:1]) + "\n" + json.dumps(found[1:]),
    "envelope": lambda found: json.dumps({ENVELOPE: found}),
    "paged envelope": lambda found: json.dumps({"page": {"n": [1, "]"]}, ENVELOPE: found, "next": "}{"}, indent=2),
    "envelopes": lambda found: json.dumps({ENVELOPE: found[:1]}) + json.dumps({"n": 1, ENVELOPE: found[1:]}),
    "lines of envelopes": lambda found: (
        json.dumps({"n": 0, ENVELOPE: found[:2]}) + "\n" + json.dumps({ENVELOPE: found[2:], "n": 1}) + "\n"
    ),
}


def parsed(records: list[RawRecord]) -> list[Any]:
    return [json.loads(record.data) for record in records]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by_name", [LINES, SEQUENCE])
@given(values, sizes)
@example([{"a": "}{"}, {"b": "}\n{"}], [1])
@example([{"a": [{}, {}]}, {"records": 1}], [3])
@example([{}, 0, {"a": None}], [1])
@example([{"b": "}{"}, 11, {"b": "}{"}], [7])
@settings(max_examples=20)
def test_any_layout_gives_the_same_records(layout: str, by_name: str, found: list[Any], sizes: list[int]) -> None:
    if "envelope" not in layout:
        found = [value for value in found if not (isinstance(value, dict) and ENVELOPE in value)]
    if layout == "arrays on lines":
        found = [value for value in found if isinstance(value, dict)]  # an array of anything else is one reject
    if len(found) < 2:
        return
    data = LAYOUTS[layout](found).encode()
    document = read_document(cut(data, sizes), ENVELOPE, (), CAP, by_name)
    records = records_of(document)
    assert parsed(records) == found
    if document.position_kind == "index":
        assert [record.position for record in records] == list(range(len(found)))
    else:
        assert all(
            data[record.position :].lstrip(b" \t\r\n").startswith(record.data.strip(b" \t\r\n")) for record in records
        ), "a position does not lead back to the bytes"
    again = read_document(cut(data, [1 << 20]), ENVELOPE, (), CAP, by_name)
    for record in records[::2]:
        assert again.record_at(record.position) == record


@given(st.lists(objects, min_size=1, max_size=8), sizes)
def test_objects_with_nothing_between_them(found: list[Any], sizes: list[int]) -> None:
    found = [{"id": 1}, *(value for value in found if ENVELOPE not in value)]
    assert parsed(records_of(read_document(cut("".join(written(found)).encode(), sizes), ENVELOPE, (), CAP))) == found


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "zstd"])
@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=3), st.integers(1, 500), st.integers(1, 2_000))
def test_compressed_content_of_several_streams(compression: str, parts: list[bytes], size: int, block: int) -> None:
    compress = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstd.compress}[compression]
    stored = b"".join(map(compress, parts))
    assert b"".join(decompress(cut(stored, [size]), compression, 1 << 20, block)) == b"".join(parts)


broken = st.sampled_from(
    [
        '{"a": 1',
        '{"a": "x',
        '{"a": [1,',
        '{"a": {"b": 1}',
        "abc",
        "}",
        '{"a" 1}',
        '{"a": 1,}',
        "'x'",
        '{"a":',
        '"x',
        "]",
    ]
)


@given(st.lists(st.tuples(broken, st.integers(0, 2)), min_size=1, max_size=4), st.booleans(), sizes)
def test_after_broken_syntax_reading_resumes_at_the_next_line(
    faults: list[tuple[str, int]], pretty: bool, sizes: list[int]
) -> None:
    good = [{"id": number, "in": {"x": [1]}} for number in range(20)]
    lines = [json.dumps(value, indent=2 if pretty else None) for value in good]
    for text, place in faults:
        lines[4 * place + 1] += text
    data = ("{}{}" + "\n".join(lines)).encode()
    whole = records_of(read_document(iter([data]), ENVELOPE, (), CAP))
    cut_up = records_of(read_document(cut(data, sizes), ENVELOPE, (), CAP))
    assert cut_up == whole, "what is read depends on how the file arrives"
    read = []
    for record in whole:
        try:
            read.append(json.loads(record.data))
        except ValueError:
            continue
    lost = {
        value["id"]
        for value in good
        if value not in read
        and not any(text.endswith((":", ",")) or "[" in text for text, _ in faults)  # what may go on on the next line
    }
    assert not lost, "a broken value has cost a good one"
