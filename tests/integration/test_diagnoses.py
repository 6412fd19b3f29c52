"""Each diagnosis names what a file is, and what it advises makes the records publishable."""

import ast
import bz2
import csv
import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from functions.common.config import CONTRACTS
from functions.common.diagnoses.table import TABLE
from functions.common.errors import PipelineError
from tests import harness
from tests.unit.orders import order

RECORDS = [order(order_id=str(number)) for number in range(12)]
LINES = [orjson.dumps(record) for record in RECORDS]
JSON_LINES = b"\n".join(LINES) + b"\n"
ARRAY = b"[" + b",\n".join(LINES) + b"]"
ARRAY_ON_A_LINE = ARRAY.replace(b"\n", b"")
MONTHS = {f"2026-01-{number + 1:02}": record for number, record in enumerate(RECORDS)}

File = tuple[str, bytes]
Follow = Callable[[str, File, Path], File]
"""Does what a message advises for a file. The folder is for work."""

_COMMAND = re.compile(r"((?:jq|sed|tr|iconv) .*?FILE > (NEW\.jsonl?))")


@pytest.fixture(autouse=True)
def _buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with harness.buckets(monkeypatch, MAX_RECORD_BYTES="20000"):
        yield


def shell(message: str, file: File, folder: Path) -> File:
    """Run the command that the message contains."""
    found = _COMMAND.search(message)
    assert found, message
    program = found[1].split()[0]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    (folder / "FILE").write_bytes(file[1])
    subprocess.run(["/bin/sh", "-euc", found[1]], cwd=folder, check=True)
    return found[2].lower(), (folder / found[2]).read_bytes()


def send(data: bytes, name: str = "x.jsonl") -> Follow:
    """Send the data that the producer meant to send."""
    return lambda *_: (name, data)


def replace(old: bytes, new: bytes) -> Follow:
    return lambda _, file, __: (file[0], file[1].replace(old, new))


def convert(function: Callable[[bytes], bytes], name: str = "x.jsonl") -> Follow:
    return lambda _, file, __: (name, function(file[1]))


def with_parquet(folder: Path) -> bytes:
    (folder / "orders.jsonl").write_bytes(JSON_LINES)
    rows = f"FROM read_json('{folder}/orders.jsonl', columns = {{order_id: 'VARCHAR'}})"
    duckdb.sql(f"COPY ({rows}) TO '{folder}/f' (FORMAT parquet)")
    return (folder / "f").read_bytes()


def archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("orders.jsonl")
        member.size = len(JSON_LINES)
        tar.addfile(member, io.BytesIO(JSON_LINES))
    return data.getvalue()


def unpacked(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("orders.jsonl")
        assert member
        return member.read()


def unzipped(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(archive.namelist()[0])


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def as_python(data: bytes) -> bytes:
    return b"\n".join(str(json.loads(line)).encode() for line in data.splitlines())


def from_python(data: bytes) -> bytes:
    return b"\n".join(json.dumps(ast.literal_eval(line)).encode() for line in data.decode().splitlines())


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def columns(orient: str) -> bytes:
    """The table of the records as pandas writes it."""
    names = RECORDS[0].keys()
    rows = {str(number): record for number, record in enumerate(RECORDS)}
    if orient == "list":
        return dumps({name: [record[name] for record in RECORDS] for name in names})
    return dumps({name: {row: record[name] for row, record in rows.items()} for name in names})


def rows_of(data: bytes) -> bytes:
    table = json.loads(data)
    keys = range(12) if isinstance(table["order_id"], list) else table["order_id"]
    return b"\n".join(dumps({name: column[key] for name, column in table.items()}) for key in keys)


def as_dynamodb(value: Any) -> dict[str, Any]:
    match value:
        case bool() | None:
            return {"NULL": True} if value is None else {"BOOL": value}
        case str():
            return {"S": value}
        case dict():
            return {"M": {name: as_dynamodb(inner) for name, inner in value.items()}}
        case list():
            return {"L": [as_dynamodb(inner) for inner in value]}
        case _:
            return {"N": str(value)}


UNQUOTED = re.sub(rb'"([a-z_]+)":', rb"\1:", JSON_LINES)
LOG = b"".join(b"2026-01-01T00:00:00Z INFO order=" + line + b"\n" for line in LINES)
PAGE = b"<!DOCTYPE html>\n<html>\n<body>\nSign in\n</body>\n</html>\n"
XML = b'<?xml version="1.0"?>\n<Error>\n<Code>AccessDenied</Code>\n</Error>\n'

CASES: list[tuple[str, File | Callable[[Path], File], str, Follow]] = [
    (
        "compressed_twice",
        ("x.json.gz", gzip.compress(gzip.compress(ARRAY))),
        "twice",
        convert(gzip.decompress, "x.json.gz"),
    ),
    (
        "compressed_twice",
        ("x.json.gz", gzip.compress(bz2.compress(ARRAY))),
        "is bzip2",
        convert(gzip.decompress, "x.json.bz2"),
    ),
    ("unsupported_compression", ("x.json.gz", zlib.compress(ARRAY)), "zlib", convert(zlib.decompress, "x.json")),
    ("archive", ("x.json", archive()), "is tar", convert(unpacked)),
    (
        "archive",
        ("x.tar.gz.json", gzip.compress(archive())),
        "after decompression with gzip is tar",
        convert(lambda data: unpacked(gzip.decompress(data))),
    ),
    ("archive", ("x.json.zip", zipped("orders.jsonl", JSON_LINES)), "is zip", convert(unzipped)),
    ("parquet", lambda folder: ("x.json", with_parquet(folder)), "FORMAT json", send(JSON_LINES)),
    ("binary", ("x.json", zipped("[Content_Types].xml", b"<x/>")), "Excel", send(JSON_LINES)),
    ("binary", ("x.json", b"%PDF-1.7\n"), "PDF", send(JSON_LINES)),
    (
        "binary",
        ("x.json.gz", gzip.compress(b"Obj\x01\x04\x14")),
        "after decompression with gzip is Avro",
        send(JSON_LINES),
    ),
    ("byte_order_mark", ("x.json", b"\xef\xbb\xbf" + ARRAY), "is UTF-8", convert(lambda data: data[3:], "x.json")),
    (
        "byte_order_mark",
        ("x.json", ARRAY.decode().encode("utf-16")),
        "UTF-16LE",
        convert(lambda data: data.decode("utf-16").encode(), "x.json"),
    ),
    *(
        (
            "utf_16",
            ("x.json", ARRAY.decode().encode(encoding)),
            f"-f {encoding.upper().replace('F-16-', 'F-16').replace('F-32-', 'F-32')} ",
            shell,
        )
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    ),
    ("carriage_returns", ("x.jsonl", b"\r".join(LINES)), "carriage returns", shell),
    ("html", ("x.json", PAGE), "HTML page", send(JSON_LINES)),
    ("html", ("x.jsonl", b"\n" + PAGE.replace(b"\n", b"")), "HTML page", send(JSON_LINES)),
    ("xml", ("x.json", XML), "is XML", send(JSON_LINES)),
    ("xml", ("x.jsonl", b"<orders>" + b"\n<order/>" * 4 + b"</orders>"), "is XML", send(JSON_LINES)),
    ("javascript", ("x.js.json", b"window.YTD.orders.part0 = " + ARRAY_ON_A_LINE), "JavaScript", shell),
    ("javascript", ("x.json", b"var orders = " + ARRAY_ON_A_LINE + b";\n"), "JavaScript", shell),
    ("javascript", ("x.jsonl", b"callback(" + ARRAY_ON_A_LINE + b");"), "JavaScript", shell),
    ("javascript", ("x.json", b")]}'" + ARRAY_ON_A_LINE), "JavaScript", shell),
    ("javascript", ("x.json", b"for (;;);" + ARRAY_ON_A_LINE), "JavaScript", shell),
    ("prefixed_lines", ("x.jsonl", LOG), "as in a log", shell),
    ("prefixed_lines", ("x.json", LOG), "as in a log", shell),
    ("prefixed_lines", ("x.jsonl", b"".join(b"\x1e" + line + b"\n" for line in LINES)), "as in a log", shell),
    ("prefixed_lines", ("x.jsonl", b"".join(b"data: " + line + b"\n\n" for line in LINES)), "as in a log", shell),
    ("comments", ("x.json", b"[ // exported\n" + ARRAY_ON_A_LINE[1:]), "at character 2", replace(b"// exported", b"")),
    (
        "comments",
        ("x.jsonl", JSON_LINES.replace(b'{"order_id"', b'{/* id */"order_id"')),
        "comments",
        replace(b"/* id */", b""),
    ),
    (
        "trailing_comma",
        ("x.json", ARRAY.replace(b"}]", b"},]")),
        "comma precedes a closing bracket",
        replace(b",]", b"]"),
    ),
    ("trailing_comma", ("x.jsonl", JSON_LINES.replace(b"}\n", b",}\n")), "comma precedes", replace(b",}", b"}")),
    (
        "mongo_shell",
        ("x.jsonl", JSON_LINES.replace(b'"10248"', b"").replace(b'"order_id":', b'"order_id":ObjectId("1"),"x":')),
        "mongoexport",
        send(JSON_LINES),
    ),
    ("python", ("x.jsonl", as_python(JSON_LINES)), "json.dumps", convert(from_python)),
    (
        "python",
        ("x.json", str(RECORDS).encode()),
        "json.dumps",
        convert(lambda data: dumps(ast.literal_eval(data.decode())), "x.json"),
    ),
    ("python", ("x.jsonl", JSON_LINES.replace(b"null", b"None")), "json.dumps", replace(b"None", b"null")),
    ("unquoted_name", ("x.jsonl", UNQUOTED), "without quotes", send(JSON_LINES)),
    ("unquoted_name", ("x.json", b"[" + b",".join(UNQUOTED.splitlines()) + b"]"), "without quotes", send(JSON_LINES)),
    ("unescaped_character", ("x.jsonl", JSON_LINES.replace(b"Vins", b"Vi\tns")), "unescaped", replace(b"\t", b"\\t")),
    ("unescaped_character", ("x.json", ARRAY.replace(b"Vins", b"Vi\\xns")), "backslash", replace(b"\\x", b"\\\\x")),
    ("incomplete", ("x.json", dumps(MONTHS)[:-500]), "it is incomplete", send(JSON_LINES)),
    ("incomplete", ("x.json", dumps(RECORDS[0])[:-1]), "it is incomplete", send(JSON_LINES)),
    ("incomplete", ("x.json", ARRAY_ON_A_LINE[:-20]), "it is incomplete", send(JSON_LINES)),
    ("json_in_strings", ("x.jsonl", dumps(json.dumps(json.dumps(RECORDS[0])))), "fromjson | fromjson", shell),
    (
        "dynamodb",
        ("x.json", b"\n".join(dumps({"Item": as_dynamodb(one)["M"]}) for one in RECORDS)),
        "DynamoDB",
        send(JSON_LINES),
    ),
    (
        "envelope_like_a_record",
        ("x.json", b'{"items": ' + ARRAY + b', "total": 12}'),
        "because a record has a field of",
        shell,
    ),
    ("map", ("x.json", dumps(MONTHS)), "one member per record", shell),
    (
        "map",
        ("x.json", dumps({f"o-{number}": record for number, record in enumerate(RECORDS)})),
        "one member per record",
        shell,
    ),
    ("map", ("x.jsonl", b"\n".join(dumps({"o-1": record}) for record in RECORDS)), "one member per record", shell),
    ("nested", ("x.json", dumps({"orders": MONTHS})), ".orders[]", shell),
    (
        "wrapper",
        ("x.jsonl", b"\n".join(dumps({"_airbyte_data": one, "_airbyte_ab_id": "1"}) for one in RECORDS)),
        "/_airbyte_data",
        shell,
    ),
    ("wrapper", ("x.json", dumps([{"after": one, "op": "c"} for one in RECORDS])), ".[].after", shell),
    ("wrapper", ("x.json", dumps({"orders": [{"a-b": one} for one in RECORDS]})), '.orders[]."a-b"', shell),
    ("wrapper", ("x.json", dumps({"order": RECORDS[0]})), "/order", shell),
    ("json_in_strings", ("x.jsonl", b"\n".join(dumps(line.decode()) for line in LINES)), "strings", shell),
    ("json_in_strings", ("x.json", dumps(LINES[0].decode())), "strings", shell),
    ("json_in_strings", ("x.json", dumps([line.decode() for line in LINES])), "strings", shell),
    (
        "json_in_strings",
        ("x.jsonl", b"\n".join(dumps({"log": line.decode() + "\n", "stream": "o"}) for line in LINES)),
        "strings",
        shell,
    ),
    ("json_in_strings", ("x.json", dumps({"Records": [{"body": line.decode()} for line in LINES]})), "strings", shell),
    (
        "nested",
        ("x.json", dumps({"data": {"orders": {"edges": [{"node": one} for one in RECORDS]}}})),
        "edges[].node",
        shell,
    ),
    ("nested", ("x.json", dumps([RECORDS, RECORDS])), "inside other objects or arrays", shell),
    ("columns", ("x.json", columns("dict")), 'orient="records"', convert(rows_of)),
    ("columns", ("x.json", columns("list")), 'orient="records"', convert(rows_of)),
    ("error_response", ("x.json", dumps({"error": {"code": 401, "message": "x"}})), "error response", send(JSON_LINES)),
    ("error_response", ("x.json", dumps({"message": "x", "code": "rate_limited"})), "member message", send(JSON_LINES)),
    (
        "error_response",
        ("x.json", dumps({"errors": [{"message": "x"}], "data": None})),
        "member errors",
        send(JSON_LINES),
    ),
    ("error_response", ("x.jsonl", dumps({"message": "Forbidden"})), "error response", send(JSON_LINES)),
]


def failure_of(file: File) -> str:
    """The message of the error with which a file fails."""
    with pytest.raises(PipelineError) as raised:
        harness.run(file[1], file[0])
    return str(raised.value)


def counts_of(file: File, folder: str = "incoming/orders/") -> dict[str, Any]:
    counts: dict[str, Any] = harness.manifest(harness.run(file[1], file[0], folder=folder))["counts"]
    return counts


def row(name: str) -> Any:
    return next(one for one in TABLE if one.name == name)


@pytest.mark.parametrize(
    ("name", "given", "says", "follow"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
def test_the_advice_makes_the_records_publishable(
    name: str, given: Any, says: str, follow: Follow, tmp_path: Path
) -> None:
    file = given(tmp_path) if callable(given) else given
    message = failure_of(file)
    assert says in message
    assert row(name).says.partition("{")[0] in message
    counts = counts_of(follow(message, file, tmp_path))
    assert counts["received"] > 0
    assert counts["rejected"] == 0
    assert counts["published"] + counts["superseded"] == counts["received"]


def with_input(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Use the contract of orders with these members in `input`."""
    shutil.copytree(CONTRACTS / "orders", folder / "orders")
    path = folder / "orders" / "contract.json"
    contract = json.loads(path.read_text())
    contract.pop("envelope")
    path.write_text(json.dumps({**contract, "input": settings}))
    harness.set_environment(monkeypatch, CONTRACTS=str(folder))


@pytest.mark.parametrize(
    "file",
    [
        ("x.json", b'{"object": "list", "data": ' + ARRAY + b"}"),
        ("x.json", b'{"result": {"page": 1, "data": ' + ARRAY + b"}}"),
        ("x.jsonl", b'{"data": [' + LINES[0] + b"]}\n" + b'{"data": [' + LINES[1] + b"]}\n"),
        ("x.json", b'{"data": ' + ARRAY.replace(b"},\n", b"},\n" + b" " * 3_000) + b"}"),
    ],
    ids=["a page", "a nested page", "pages on lines", "a page of more bytes than a record may have"],
)
def test_an_envelope_is_read_where_the_message_says(
    file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = re.search(r'set input\.records to "(.*?)"', failure_of(file))
    assert found
    with_input(tmp_path, monkeypatch, records=found[1])
    counts = counts_of(file)
    assert counts["published"] == counts["received"] > 0


def test_csv_is_published_after_its_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "amount": {"type": "string", "decimal": [15, 2]}},
        "required": ["id", "amount"],
        "additionalProperties": False,
    }
    table = {
        "name": "t",
        "key": ["id"],
        "columns": [{"name": "id", "type": "VARCHAR"}, {"name": "amount", "type": "DECIMAL(15,2)"}],
    }
    contract = {"dataset": "d", "current_version": 1, "record_table": "t", "tables": [table]}
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "contract.json").write_text(json.dumps(contract))
    (tmp_path / "d" / "v1.schema.json").write_text(json.dumps(schema))
    (tmp_path / "d" / "t.sql").write_text("SELECT _position, id, amount FROM records")
    harness.set_environment(monkeypatch, CONTRACTS=str(tmp_path))
    for delimiter, named in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        data = "id,amount\na,199.00\nb,-0.10\n".replace(",", delimiter)
        for name in ("x.json", "x.jsonl"):
            with pytest.raises(PipelineError, match=f"is CSV: its fields are separated by {named}"):
                harness.run(data.encode(), name, folder="incoming/d/")
        rows = csv.DictReader(io.StringIO(data), delimiter=delimiter)
        converted = "\n".join(map(json.dumps, rows)).encode()
        assert counts_of(("x.jsonl", converted), "incoming/d/")["published"] == 2


def test_a_file_with_valid_records_is_not_converted_as_a_whole() -> None:
    """The filter for wrapped records would turn the others into null."""
    wrapped = [dumps({"v": record}) for record in RECORDS]
    with pytest.raises(PipelineError) as raised:
        harness.run(b"\n".join([*LINES[:6], *wrapped]), chunk_bytes=10**9)
    assert "jq" not in str(raised.value)
    with pytest.raises(PipelineError) as raised:
        harness.run(b"\n".join([*wrapped, *LINES[:6]]), chunk_bytes=len(b"\n".join(wrapped)))
    assert "jq" not in str(raised.value)


def test_records_are_not_extracted_from_an_incomplete_file() -> None:
    for data in (dumps(MONTHS)[:-500], b'{"items": ' + ARRAY[:-9]):
        assert "jq" not in failure_of(("x.json", data))


def test_every_diagnosis_has_a_case() -> None:
    assert {case[0] for case in CASES} | {"csv", "envelope"} == {one.name for one in TABLE}


def test_ids_are_not_quoted_as_members() -> None:
    for records in (MONTHS, {f"SECRET-{number}": {"x": {"deep": record}} for number, record in enumerate(RECORDS)}):
        assert "SECRET" not in failure_of(("x.json", dumps(records)))
    assert "SECRET" not in failure_of(("x.json", dumps({f"SECRET{number}": {"x": 1, "y": 2} for number in range(3)})))
