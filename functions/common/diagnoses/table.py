"""The table of diagnoses: what a file is instead of records of its dataset, and what to do.

It explains why a whole file fails, or why most of its records are rejected. The first diagnosis that applies is
reported. A diagnosis names members only if their names look like names, and never quotes a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from functions.common.diagnoses import detectors, other_formats
from functions.common.diagnoses.detectors import Detector
from functions.common.diagnoses.misplaced import MEMBERS, STRING
from functions.common.diagnoses.sample import Expected, FileSample
from functions.common.errors import EncodingError, MalformedDocumentError, PipelineError, UnsupportedFormatError
from functions.common.source.compression import ARCHIVES, READ, TABLES_AND_DOCUMENTS


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One kind of file that is often sent instead of what the contract describes."""

    name: str
    find: Detector
    says: str
    advice: str
    error: type[PipelineError] | None = None
    """The error that the diagnosis raises when the file is opened. None if it explains another error."""

    def message(self, found: Mapping[str, str]) -> str:
        """Return the diagnosis and advice, with their placeholders replaced by what was found."""
        return f"{self.says} {self.advice}".format(**found)


def diagnose(sample: FileSample, expected: Expected) -> str:
    """Return what a failing file is and what to do, in sentences. Empty if no diagnosis applies."""
    for diagnosis in TABLE:
        if not diagnosis.error and (found := diagnosis.find(sample, expected)) is not None:
            return diagnosis.message(found)
    return ""


def check_beginning(beginning: bytes, compression: str = "") -> None:
    """Raise the error of a file whose first bytes can't be those of JSON. `compression` was removed from the file.

    Raises UnsupportedFormatError, EncodingError or MalformedDocumentError.
    """
    sample = FileSample(beginning, (), (), compression=compression)
    for diagnosis in TABLE:
        if diagnosis.error and (found := diagnosis.find(sample, Expected())) is not None:
            raise diagnosis.error(diagnosis.message(found))


def unsupported_compression(name: str) -> UnsupportedFormatError:
    """Return the error for a file that is compressed in a way that is known only from its name."""
    diagnosis = next(one for one in TABLE if one.name == "unsupported_compression")
    return UnsupportedFormatError(diagnosis.message({"format": name, "inside": ""}))


_READ = f"{', '.join(READ[:-1])} or {READ[-1]}"
_JQ = "jq -c '{jq}' FILE > NEW.jsonl (jq 1.7 or later keeps all digits)."

TABLE = (
    Diagnosis(
        "compressed_twice",
        detectors.compressed_twice,
        "The file is compressed twice: its content after decompression with {compression} is {format}.",
        f"Compress it once, with {_READ}.",
        UnsupportedFormatError,
    ),
    Diagnosis(
        "unsupported_compression",
        detectors.unsupported_compression,
        "The content of the file is {format}, which is not supported.",
        f"Files may be uncompressed, or compressed once with {_READ}.",
        UnsupportedFormatError,
    ),
    Diagnosis(
        "archive",
        detectors.binary(ARCHIVES),
        "The content of the file{inside} is {format}, which is not supported.",
        f"Unpack it, and upload each file in it, uncompressed or compressed with {_READ}.",
        UnsupportedFormatError,
    ),
    Diagnosis(
        "parquet",
        detectors.binary(("Parquet",)),
        "The content of the file{inside} is Parquet, which is not supported.",
        "Export its rows as JSON Lines, for example with DuckDB: "
        "COPY (FROM 'FILE.parquet') TO 'NEW.jsonl' (FORMAT json)",
        UnsupportedFormatError,
    ),
    Diagnosis(
        "binary",
        detectors.binary(TABLES_AND_DOCUMENTS),
        "The content of the file{inside} is {format}, which is not supported.",
        "Export its records as JSON Lines.",
        UnsupportedFormatError,
    ),
    Diagnosis(
        "byte_order_mark",
        detectors.byte_order_mark,
        "The file begins with a byte order mark. JSON must be UTF-8 without one (RFC 8259, section 8.1).",
        "Save it as UTF-8 without the mark; now it is {encoding}.",
        EncodingError,
    ),
    Diagnosis(
        "utf_16",
        detectors.wide_encoding,
        "The file is not UTF-8: its first characters take more than one byte each, as in UTF-16.",
        "If it is JSON, convert it: iconv -f {encoding} -t UTF-8 FILE > NEW.json",
        EncodingError,
    ),
    Diagnosis(
        "carriage_returns",
        detectors.if_(other_formats.has_only_carriage_returns),
        "The values are separated only by carriage returns (\\r). End each line with a line feed (\\n).",
        "For example: tr '\\r' '\\n' < FILE > NEW.jsonl",
        MalformedDocumentError,
    ),
    Diagnosis(
        "html",
        detectors.if_(other_formats.is_html),
        "The file is an HTML page, such as a server sends for a login or an error.",
        "Check the address and the credentials of the download, and upload the JSON.",
    ),
    Diagnosis(
        "xml",
        detectors.if_(other_formats.is_xml),
        "The file is XML or similar markup.",
        "Request JSON from its source if it offers JSON; otherwise convert the file to JSON Lines. If it is an error "
        "message of a server, repeat the download.",
    ),
    Diagnosis(
        "javascript",
        detectors.if_(other_formats.is_javascript),
        "The file is JavaScript, or JSON after a prefix that only JavaScript removes.",
        "Remove what is before the first bracket and after the last: "
        "sed -e '1s/^[^[{{]*//' -e '$s/[^]}}]*$//' FILE > NEW.json",
    ),
    Diagnosis(
        "csv",
        detectors.csv,
        "The file is CSV: its fields are separated by {delimiter}.",
        "Convert it to JSON Lines: one object per line, with the field names and types that the contract defines.",
    ),
    Diagnosis(
        "prefixed_lines",
        detectors.if_(other_formats.has_prefixes),
        "Each line has other characters before its JSON object, as in a log.",
        "Remove them: sed 's/^[^{{]*//' FILE > NEW.jsonl",
    ),
    Diagnosis(
        "comments",
        detectors.notation("comment"),
        "JSON has no comments, but there is one at character {at}.",
        "Remove the comments.",
    ),
    Diagnosis(
        "trailing_comma",
        detectors.notation("trailing_comma"),
        "A comma precedes a closing bracket at character {at}.",
        "Remove such commas.",
    ),
    Diagnosis(
        "mongo_shell",
        detectors.notation("mongo_shell"),
        "At character {at} is a call such as ObjectId(…), which the MongoDB shell prints.",
        "Export the collection with mongoexport, or print EJSON.stringify(document).",
    ),
    Diagnosis(
        "python",
        detectors.notation("python"),
        "At character {at} is a notation of Python: a single quote, True, False, None, nan or inf.",
        "Write the records with json.dumps instead of str, repr or print.",
    ),
    Diagnosis(
        "unquoted_name",
        detectors.notation("unquoted_name"),
        "At character {at} is a name without quotes, as in JavaScript, YAML or Java's toString.",
        "Write the records with a JSON library, for example with JSON.stringify.",
    ),
    Diagnosis(
        "unescaped_character",
        detectors.notation("control_character", "escape"),
        "At character {at} a string has an unescaped line break, tab or backslash.",
        "Write the records with a JSON library, which escapes strings.",
    ),
    Diagnosis(
        "incomplete",
        detectors.incomplete,
        "The file ends inside its first value: it is incomplete.",
        "Create and upload it again; an export or a download was probably interrupted.",
    ),
    Diagnosis(
        "dynamodb",
        detectors.records_inside(detectors.has_dynamodb_types),
        "The records are written as Amazon DynamoDB exports them: each value is in an object that names its type.",
        "Describe them so in the contract, or export plain JSON.",
    ),
    Diagnosis(
        "envelope",
        detectors.records_inside(detectors.is_envelope),
        "The records are in the array {pointer}.",
        'In contract.json, set input.records to "{pointer}", and remove envelope if it is there.',
    ),
    Diagnosis(
        "envelope_like_a_record",
        detectors.records_inside(detectors.is_envelope_like_a_record),
        "The records are in the array {pointer}. The contract's input.records can't be {pointer}, because a record has "
        "a field of that name, too.",
        f"Extract the records: {_JQ}",
    ),
    Diagnosis(
        "map",
        detectors.records_inside(lambda path, *_: path == (MEMBERS,)),
        "The records are in an object with one member per record, such as a map by id.",
        f"Write them as JSON Lines: {_JQ}",
    ),
    Diagnosis(
        "wrapper",
        detectors.records_inside(detectors.is_wrapper),
        "The fields of each record are inside the member {member}.",
        f"Extract it: {_JQ}",
    ),
    Diagnosis(
        "json_in_strings",
        detectors.records_inside(lambda path, *_: STRING in path),
        "The records are in strings that contain JSON.",
        f"Write them as JSON Lines: {_JQ}",
    ),
    Diagnosis(
        "nested",
        detectors.records_inside(lambda *_: True),
        "The records are inside other objects or arrays.",
        f"Write them as JSON Lines: {_JQ}",
    ),
    Diagnosis(
        "columns",
        detectors.columns,
        "The file has an array or an object of values for each field, instead of an object for each record.",
        'Write one object per record, for example with orient="records" and lines=True in to_json of pandas.',
    ),
    Diagnosis(
        "error_response",
        detectors.error_response,
        "The document is an error response of an API: it has the member {member}, and no record.",
        "Repeat the request until it succeeds, and upload its result.",
    ),
)
"""The diagnoses, in the order in which they are tried."""
