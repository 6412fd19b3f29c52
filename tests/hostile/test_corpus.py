"""Two public collections of JSON documents: valid ones are read as json reads them, invalid ones are rejected."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.common.errors import EmptyFileError, EncodingError, MalformedDocumentError, PipelineError
from functions.common.source.documents import Document
from functions.validate.unreadable import unparsable
from tests.hostile.corpus import json_checker, json_test_suite
from tests.unit.reading import checked, read_document, read_lines
from tests.unit.steps import MAX_NESTING, batch_of, validate

CAP = 1_000_000
DOCUMENTS = {**json_test_suite(), **json_checker()}
RIGHT = {name: data for name, data in DOCUMENTS.items() if name.startswith("y_")}
WRONG = {name: data for name, data in DOCUMENTS.items() if name.startswith("n_")}
UNREADABLE = {"not_json", "not_utf8", "non_finite_number", "lone_surrogate", "nested_too_deeply"}
"""The codes of records that were not even parsed."""


def test_the_collections_are_complete() -> None:
    assert (len(json_test_suite()), len(RIGHT), len(WRONG)) == (341, 100, 245)


def as_orjson_reads(data: bytes) -> Any:
    """The value that json reads, except that integers beyond 64 bits become floats, as in orjson."""

    def integer(text: str) -> float:
        return int(text) if -(2**63) <= int(text) < 2**64 else float(text)

    return json.loads(data, parse_int=integer)


def read(document: Document) -> list[Any]:
    return [orjson.loads(record.data) for record in document.records]


def document(data: bytes, fields: tuple[str, ...] = ()) -> Document:
    return read_document([checked([data])], "orders", fields, CAP)


@pytest.mark.parametrize("name", RIGHT)
def test_valid_json_is_read_as_json_reads_it(name: str) -> None:
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
def test_invalid_json_is_never_accepted(name: str, tmp_path: Path) -> None:
    data = WRONG[name]
    outcome = outcome_of(data, tmp_path, "x.json")
    assert isinstance(outcome, MalformedDocumentError | EncodingError | EmptyFileError) or set(outcome) <= {
        *("nested_too_deeply", "non_finite_number"),  # these aren't errors of the structure
        *("not_json", "not_utf8", "wrong_type", "missing_field"),  # of the values around the fault
    }
    for around in (b"[%b]", b'{"orders": [%b]}'):
        assert not is_read(around % data)
    if data.strip(b" \t\r\n"):
        assert unparsable(data, MAX_NESTING).code in UNREADABLE


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("i_")])
def test_json_that_parsers_may_reject_is_read_or_gets_a_reject_code(name: str, tmp_path: Path) -> None:
    outcome_of(DOCUMENTS[name], tmp_path, "x.json")


def test_invalid_documents_as_lines_of_one_file_are_rejected(tmp_path: Path) -> None:
    counts = validate(b'"first"\n' + b"\n".join(DOCUMENTS.values()), tmp_path)
    assert counts["received"] == counts["rejected"] == sum(counts["rejected_by_reason"].values()) > len(DOCUMENTS) - 9


def is_read(data: bytes) -> bool:
    try:
        return bool(read(document(data)))
    except (PipelineError, orjson.JSONDecodeError):
        return False


def outcome_of(data: bytes, folder: Path, name: str) -> PipelineError | dict[str, int]:
    """The error of the file, or its rejects by reason. None of its records may be valid."""
    try:
        counts = validate(data, folder, batch_of(data, name))
    except PipelineError as error:
        return error
    assert counts["valid"] == 0, "an invalid document was published"
    if counts["received"] == 0:
        return EmptyFileError()
    return dict(counts["rejected_by_reason"])
