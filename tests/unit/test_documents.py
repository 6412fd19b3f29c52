"""Find the records in a document: the same ones for any block size, and an error if the document is broken."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.common.errors import EncodingError, MalformedDocumentError, RecordTooLargeError, WrongEnvelopeError
from functions.common.source.documents import Document
from functions.common.source.raw import RawRecord
from tests.unit.reading import checked, cut, json_values, read_document, read_lines, records_of

FIELDS = ("id", "text")
CAP = 10_000

RECORDS = [{"id": 1, "text": 'a "quoted" ] } , \\ text'}, {"id": 2, "text": "日本 😀 \n"}, {"id": 3}]
ONE = json.dumps(RECORDS[0]).encode()
LINES = b"".join(orjson.dumps(record) + b"\n" for record in RECORDS)
ARRAY = orjson.dumps(RECORDS)
ENVELOPE = orjson.dumps({"records": RECORDS})


def read(data: bytes, sizes: list[int] | None = None, cap: int = CAP) -> Document:
    return read_document(cut(data, sizes or [1 << 20]), "records", FIELDS, cap)


def parsed(document: Document) -> list[Any]:
    return [json.loads(record.data) for record in records_of(document)]


def refused(data: bytes, **options: Any) -> Exception:
    with pytest.raises((EncodingError, MalformedDocumentError, RecordTooLargeError, WrongEnvelopeError)) as caught:
        list(read(data, **options).records)
    return caught.value


block_sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)

# --- the shapes of a document -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "kind", "positions"),
    [
        pytest.param(ONE, "byte", [0], id="one record"),
        pytest.param(json.dumps(RECORDS[0], indent=4).encode(), "byte", [0], id="one pretty record"),
        pytest.param(ONE + b"\n", "byte", [0], id="one record on a line"),
        pytest.param(LINES.replace(b"\n", b""), "byte", [0, 44, 76], id="records with nothing between them"),
        pytest.param(LINES.replace(b"\n", b" , "), "byte", [0, 47, 82], id="records with commas between them"),
        pytest.param(LINES.replace(b"\n", b",\n"), "byte", [0, 46, 80], id="lines with commas"),
        pytest.param(ARRAY + b"\n", "index", [0, 1, 2], id="array on a line"),
        pytest.param(
            b"[" + LINES.splitlines()[0] + b"][" + b",".join(LINES.splitlines()[1:]) + b"]",
            "index",
            [0, 1, 2],
            id="arrays",
        ),
        pytest.param(b'{"page":1,"records":' + ARRAY + b',"next":{"a":[1]}}', "index", [0, 1, 2], id="paged"),
        pytest.param(ARRAY, "index", [0, 1, 2], id="array"),
        pytest.param(json.dumps(RECORDS, indent=2).encode(), "index", [0, 1, 2], id="pretty array"),
        pytest.param(b"[" + ONE + b"]", "index", [0], id="array of one"),
        pytest.param(ENVELOPE, "index", [0, 1, 2], id="envelope"),
        pytest.param(json.dumps({"records": RECORDS}, indent=2).encode(), "index", [0, 1, 2], id="pretty envelope"),
        pytest.param(b' \r\n{\t"records" : \n' + ARRAY + b" } \n\n", "index", [0, 1, 2], id="envelope with blanks"),
        pytest.param(LINES, "byte", [0, 45, 78], id="lines"),
        pytest.param(LINES.replace(b"\n", b"\r\n"), "byte", [0, 46, 80], id="lines with CRLF"),
        pytest.param(LINES[:-1], "byte", [0, 45, 78], id="lines without the last newline"),
        pytest.param(b"\n  \n" + LINES, "byte", [4, 49, 82], id="lines after blank ones"),
        pytest.param(b" " * 100 + b"\n \t" + LINES, "byte", [101, 148, 181], id="lines after blanks of any size"),
        pytest.param(b"", "index", [], id="empty"),
        pytest.param(b" \t\r\n \n", "index", [], id="blank"),
        pytest.param(b" [ ] ", "index", [], id="empty array"),
        pytest.param(b'{"records": []}', "index", [], id="empty envelope"),
    ],
)
def test_the_shape_of_a_document_is_detected_from_its_first_bytes(
    document: bytes, kind: str, positions: list[int]
) -> None:
    for sizes in ([1 << 20], [1], [7, 2]):
        found = read(document, sizes)
        records = records_of(found)
        assert found.position_kind == kind
        assert [record.position for record in records] == positions
        assert [json.loads(record.data) for record in records] == RECORDS[: len(positions)]
        assert all(record.length >= len(record.data) and not record.oversize for record in records)


strings = st.text(st.sampled_from('[]{},:"\\ \n\r\tax0é日😀\u2028'), max_size=12)
values = json_values(strings, 4, 12)
layouts: st.SearchStrategy[Callable[[Any], str]] = st.builds(
    lambda ascii_only, indent, separators: (
        lambda value: json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
    ),
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([None, (",", ":"), (" , ", " : ")]),
)


@given(st.lists(values, max_size=6), layouts, block_sizes, st.booleans())
def test_an_array_is_split_as_a_json_parser_reads_it(
    elements: list[Any], layout: Callable[[Any], str], sizes: list[int], in_envelope: bool
) -> None:
    document = layout({"records": elements} if in_envelope else elements).encode()
    found = read(document, sizes)
    assert parsed(found) == elements
    assert found.position_kind == "index"


@given(st.lists(st.dictionaries(strings, values, max_size=3), min_size=2, max_size=6), st.booleans(), block_sizes)
def test_json_lines_in_a_json_file_are_read_as_lines(records: list[Any], crlf: bool, sizes: list[int]) -> None:
    document = (b"\r\n" if crlf else b"\n").join(orjson.dumps(record) for record in records)
    found = read(document, sizes)
    assert (found.position_kind, parsed(found)) == ("byte", records)


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), values, min_size=1), layouts, block_sizes)
def test_a_document_with_one_record_has_one_record(
    record: dict[str, Any], layout: Callable[[Any], str], sizes: list[int]
) -> None:
    document = layout(record).encode()
    n_known = len(set(record) & set(FIELDS))
    if n_known * 2 >= len(record):
        assert parsed(read(document, sizes)) == [record]
    elif not n_known:
        assert isinstance(refused(document, sizes=sizes), WrongEnvelopeError)


# --- chunks of lines --------------------------------------------------------------------------------------------------


def lines_of(data: bytes) -> list[tuple[int, bytes]]:
    """Each line that is not blank, with its offset."""
    found, offset = [], 0
    for line in data.split(b"\n"):
        if line.strip(b" \t\r"):
            found.append((offset, line))
        offset += len(line) + 1
    return found


def chunk(data: bytes, number: int, chunk_bytes: int, sizes: list[int], cap: int = CAP) -> list[RawRecord]:
    """The lines of a chunk, read as open_chunk reads them: from one byte before its start."""
    start = number * chunk_bytes
    return list(read_lines(cut(data[max(0, start - 1) :], sizes), cap, start, start + chunk_bytes))


@given(
    st.lists(st.sampled_from([b'{"a":1}', b"", b"  ", b"\r", b'{"b":"\xc3\xa9\xf0\x9f\x98\x80"}\r', b"x" * 40])),
    st.booleans(),
    st.integers(1, 60),
    block_sizes,
)
@example([b"a", b"b"], False, 2, [1])  # a chunk that begins directly after a newline
@example([b"x" * 40, b"b"], True, 3, [5])  # chunks that are within one line
def test_any_chunk_plan_gives_the_same_lines(
    lines: list[bytes], ends_with_newline: bool, chunk_bytes: int, sizes: list[int]
) -> None:
    data = b"\n".join(lines) + b"\n" * ends_with_newline
    chunks = [chunk(data, number, chunk_bytes, sizes) for number in range(-(-len(data) // chunk_bytes))]
    assert [(line.position, line.data) for part in chunks for line in part] == lines_of(data)
    for number, part in enumerate(chunks):
        assert all(number * chunk_bytes <= line.position < (number + 1) * chunk_bytes for line in part)


@given(st.binary(max_size=200), st.integers(1, 50), block_sizes)
def test_any_bytes_are_split_into_the_same_lines_by_any_chunks(data: bytes, chunk_bytes: int, sizes: list[int]) -> None:
    chunks = [chunk(data, number, chunk_bytes, sizes) for number in range(-(-len(data) // chunk_bytes))]
    whole = list(read_lines([data], CAP))
    assert [line for part in chunks for line in part] == whole
    if not {b"}{", b"},", b"\x1a"} & {data[at : at + n] for at in range(len(data)) for n in (1, 2)}:
        assert [(line.position, line.data) for line in whole] == lines_of(data)


def test_a_chunk_reads_no_further_than_its_last_line() -> None:
    blocks = iter([b"a\nb\n", b"c\nd\n", b"e\n"])
    assert [line.data for line in read_lines(blocks, CAP, 0, 5)] == [b"a", b"b", b"c"]
    assert list(blocks) == [b"e\n"], "the chunk was read past its end"


def test_a_chunk_within_a_line_reads_no_further_than_its_end() -> None:
    """A line of gigabytes is in many chunks. If each looked for its end, the bytes would be read repeatedly."""
    blocks = iter([b"x" * 5, b"x" * 5, b"x" * 5, b"x\nc\n"])
    assert list(read_lines(blocks, CAP, 10, 20)) == []
    assert list(blocks) == [b"x\nc\n"]


# --- records that are too large ---------------------------------------------------------------------------------------

BIG = json.dumps({"id": 2, "text": "x" * 3_000}).encode()


@pytest.mark.parametrize("shape", ["lines", "array", "envelope", "lines under .json"])
@given(sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=3))
def test_a_record_over_the_cap_is_marked_and_the_rest_is_read(shape: str, sizes: list[int]) -> None:
    small = json.dumps({"id": 1, "text": "é"}, ensure_ascii=False).encode()
    records = [small, BIG, small, BIG]
    if shape == "lines":
        found = list(read_lines(cut(b"\n".join(records), sizes), 2_000))
    elif shape == "lines under .json":
        found = list(read(b"\n".join(records), sizes, 2_000).records)
    else:
        document = b"[" + b",".join(records) + b"]"
        document = document if shape == "array" else b'{"records":' + document + b"}"
        found = list(read(document, sizes, 2_000).records)
    assert [(record.oversize, record.length) for record in found] == [
        (False, len(small)),
        (True, len(BIG)),
        (False, len(small)),
        (True, len(BIG)),
    ]
    assert [record.data for record in found] == [small, BIG[:1024], small, BIG[:1024]]


@pytest.mark.parametrize(("length", "oversize"), [(1_999, False), (2_000, False), (2_001, True)])
def test_a_record_at_the_cap_is_allowed(length: int, oversize: bool) -> None:
    record = b'"' + b"x" * (length - 2) + b'"'
    assert [line.oversize for line in read_lines([record], 2_000)] == [oversize]
    assert [element.oversize for element in read(b"[" + record + b"]", cap=2_000).records] == [oversize]


def test_a_document_of_one_record_over_the_cap_fails() -> None:
    assert isinstance(refused(BIG, cap=2_000), RecordTooLargeError)


# --- broken documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [b'[{"id":1},{"id":"]}"}]', b'{"records":[{"id":1}, {"id":2}]}', ONE])
@pytest.mark.parametrize("sizes", [[1 << 20], [1]])
def test_a_document_cut_off_anywhere_fails(document: bytes, sizes: list[int]) -> None:
    for length in range(1, len(document)):
        error = refused(document[:length], sizes=sizes)
        assert isinstance(error, MalformedDocumentError), document[:length]
        assert "follows" not in str(error), f"{document[:length]!r} is cut off; nothing follows it"


@pytest.mark.parametrize(
    ("document", "error", "says"),
    [
        (b"hello", MalformedDocumentError, "must begin with { or ["),
        (b"5", MalformedDocumentError, "is a number, not an object"),
        (b'"text"', MalformedDocumentError, "is a string, not an object"),
        (b"null", MalformedDocumentError, "is null, not an object"),
        (b"true", MalformedDocumentError, "is true or false, not an object"),
        (b"id,text\n1,a\n", MalformedDocumentError, "must begin with { or ["),
        (b"[1] x", MalformedDocumentError, "follows the end of the array, after 1 records"),
        (b"[1] x \n", MalformedDocumentError, "follows the end of the array, after 1 records"),
        (b"[1]]", MalformedDocumentError, "follows the end of the array"),
        (b'{"records":[1]}x', MalformedDocumentError, "follows the end of the array"),
        (b'{"records":[1]}}', MalformedDocumentError, "follows the end of the array"),
        (b'{"records":[1]]}', MalformedDocumentError, "not JSON after its array of records, after 1 records"),
        (b'{"records":[1], "more": x}', MalformedDocumentError, "not JSON after its array of records"),
        (b'{"records":[1], "more": [}', MalformedDocumentError, "not JSON after its array of records"),
        (b'{"records":[1],, "more": 1}', MalformedDocumentError, "not JSON after its array of records"),
        (b"[,]", MalformedDocumentError, "a comma without a record, at record 0"),
        (b"[1,,2]", MalformedDocumentError, "a comma without a record, at record 1"),
        (b"[1,]", MalformedDocumentError, "a comma without a record, at record 1"),
        (b"[1}", MalformedDocumentError, "closed by the wrong character after record 0"),
        (b'{"id": 1', MalformedDocumentError, "not JSON from character 8 on"),
        (b'{"id": "Zo\xeb"}', EncodingError, "not UTF-8 at byte 10"),
        (b'{"records": {"id": 1}}', WrongEnvelopeError, "/records must be an array"),
        (b'{"records": null}', WrongEnvelopeError, "/records must be an array"),
        (b'{"records":\x0c[]}', MalformedDocumentError, "not JSON from character 11 on"),
        (b'{\x0b"records": []}', MalformedDocumentError, "not JSON from character 1 on"),
        (b'{"records": x}', MalformedDocumentError, "not JSON from character 12 on"),
        (b'{"records": [], "more": 1, "records": [1]}', WrongEnvelopeError, "a member of the path /records twice"),
        (b'{"orders": []}', WrongEnvelopeError, "Its members are: orders. If one of them holds the records, set input"),
        (b'{"items": [], "id": 1, "n": 2}', WrongEnvelopeError, "Its members are: items, id, n."),
        (b'{"a b": [], "mail@example.com": 2}', WrongEnvelopeError, "Its members are: 2 without usual names."),
        (b"{}", WrongEnvelopeError, "neither a record of this dataset nor"),
    ],
)
def test_a_broken_document_is_reported_with_reason_and_place(
    document: bytes, error: type[Exception], says: str
) -> None:
    for sizes in ([1 << 20], [1]):
        found = refused(document, sizes=sizes)
        assert isinstance(found, error)
        assert says in str(found)


def test_the_records_before_the_fault_are_returned_first() -> None:
    document = read(b'[{"id":1},{"id":2},')
    assert [next(document.records).data for _ in range(2)] == [b'{"id":1}', b'{"id":2}']
    with pytest.raises(MalformedDocumentError, match="ends inside its array, after 2 records"):
        next(document.records)


# --- encoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(EncodingError, match="UTF-8"):
        checked([ARRAY.decode().encode(encoding)])


@pytest.mark.parametrize("data", [b"", b"{", ARRAY])
def test_utf_8_is_accepted(data: bytes) -> None:
    assert checked([data]) == data


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["array", "envelope", "lines", "one endless line", "one endless element"])
def test_memory_does_not_grow_with_the_document(shape: str) -> None:
    record = orjson.dumps({"id": 1, "text": "x" * 2_000})
    before, between, after = {
        "array": (b"[", b",", b"]"),
        "envelope": (b'{"records":[', b",", b"]}"),
        "lines": (b"", b"\n", b"\n"),
        "one endless line": (b'{"id":1}\n{"text":"', b"", b'"}'),
        "one endless element": (b'[{"id":1},"', b"", b'"]'),
    }[shape]
    content = b"x" * 2_000 if shape.startswith("one") else record

    def blocks() -> Iterator[bytes]:
        yield before + content
        for _ in range(100):
            yield (between + content) * 50
        yield after

    tracemalloc.start()
    try:
        n_bytes = sum(found.length for found in read_document(blocks(), "records", FIELDS, 200_000).records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_bytes > 10_000_000
    assert peak < 2_000_000, "the whole document is in memory"
