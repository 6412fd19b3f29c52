"""Two public collections of JSON: what is right is read as json reads it, what is wrong never passes."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.common.errors import EmptyFileError, EncodingError, MalformedDocumentError, PipelineError
from functions.common.source.documents import Document, check_encoding
from functions.validate.unreadable import unparsable
from tests.hostile.corpus import json_checker, json_test_suite
from tests.unit.reading import read_document, read_lines
from tests.unit.steps import MAX_NESTING, batch_of, validate

CAP = 1_000_000
DOCUMENTS = {**json_test_suite(), **json_checker()}
RIGHT = {name: data for name, data in DOCUMENTS.items() if name.startswith("y_")}
WRONG = {name: data for name, data in DOCUMENTS.items() if name.startswith("n_")}
UNREADABLE = {"not_json", "not_utf8", "non_finite_number", "lone_surrogate", "nested_too_deeply"}
"""The codes of records that were not even parsed."""


def test_the_collections_are_whole() -> None:
    assert (len(json_test_suite()), len(RIGHT), len(WRONG)) == (341, 100, 245)


def as_orjson_reads(data: bytes) -> Any:
    """What json reads, but for integers beyond 64 bits, which orjson takes for floats."""

    def integer(text: str) -> float:
        return int(text) if -(2**63) <= int(text) < 2**64 else float(text)

    return json.loads(data, parse_int=integer)


def read(document: Document) -> list[Any]:
    return [orjson.loads(record.data) for record in document.records]


def document(data: bytes, fields: tuple[str, ...] = ()) -> Document:
    return read_document(check_encoding([data]), "orders", fields, CAP)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_json_is_read_as_json_reads_it(name: str) -> None:
    data = RIGHT[name]
    value = as_orjson_reads(data)
    assert read(document(b"[" + data + b"]")) == [value], "an element of an array"
    assert read(document(b'{"orders": [1, ' + data + b"]}")) == [1, value], "an element of an envelope"
    if b"\n" not in data.strip():
        assert [orjson.loads(line.data) for line in read_lines([data], CAP)] == [value], "a line"
    if isinstance(value, list):
        assert read(document(data)) == value, "a document"
    elif isinstance(value, dict) and value:
        assert read(document(data, tuple(value))) == [value], "a document of one record"
    elif not isinstance(value, dict):
        with pytest.raises(MalformedDocumentError, match="must begin with"):
            read(document(data))


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_json_never_passes(name: str, tmp_path: Path) -> None:
    data = WRONG[name]
    outcome = became(data, tmp_path, "x.json")
    assert isinstance(outcome, MalformedDocumentError | EncodingError | EmptyFileError) or set(outcome) <= {
        *("nested_too_deeply", "non_finite_number"),  # which are no fault of the structure
        *("not_json", "not_utf8", "wrong_type", "missing_field"),  # of the values around the fault
    }
    for around in (b"[%b]", b'{"orders": [%b]}'):
        assert not is_read(around % data)
    if data.strip(b" \t\r\n"):
        assert unparsable(data, MAX_NESTING).code in UNREADABLE


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("i_")])
def test_what_is_left_open_ends_with_a_code(name: str, tmp_path: Path) -> None:
    became(DOCUMENTS[name], tmp_path, "x.json")


def test_as_lines_of_one_file_they_are_rejects(tmp_path: Path) -> None:
    counts = validate(b'"first"\n' + b"\n".join(DOCUMENTS.values()), tmp_path)
    assert counts["received"] == counts["rejected"] == sum(counts["rejected_by_reason"].values()) > len(DOCUMENTS) - 9


def is_read(data: bytes) -> bool:
    try:
        return bool(read(document(data)))
    except (PipelineError, orjson.JSONDecodeError):
        return False


def became(data: bytes, folder: Path, name: str) -> PipelineError | dict[str, int]:
    """The error that the file ends with, or its rejects by reason; none of it is valid."""
    try:
        counts = validate(data, folder, batch_of(data, name))
    except PipelineError as error:
        return error
    assert counts["valid"] == 0, "this was published"
    if counts["received"] == 0:
        return EmptyFileError()
    return dict(counts["rejected_by_reason"])
