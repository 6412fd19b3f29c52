"""Reads the records of a sample with the functions' own code, and profiles them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.common.config import Settings
from functions.common.contract import Contract, Table, Version
from functions.common.errors import PipelineError
from functions.common.input_settings import InputSettings
from functions.common.planning import PREFIX, plan_batch, source_of
from functions.common.source.chunk import open_chunk
from functions.common.source.compression import compression_of, decompress
from functions.common.source.content import LINES, SEQUENCE
from functions.common.source.layout import HEAD_BYTES, content_of, layout_by_name, layout_of
from functions.common.source.raw import RawRecord, stretches
from pipeline.draft.envelopes import Place, place_of_records
from pipeline.draft.profile import DECODER, Node
from pipeline.draft.sample_files import SampleFile
from pipeline.errors import CliError

_BEGINNING = 1 << 20
"""How many bytes are examined to find the array of records."""

_TOGETHER = 1 << 20
"""How many bytes of records are profiled together."""

_BLOCK = 1 << 18
_ENOUGH_FILES = 3
_LOOKED_AT = 4000
_MEMBER_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')
FIRST = 300
"""How many records of a sample are kept, to find totals."""


@dataclass
class Sample:
    """The files of a sample, how they are read, and the profile of their records."""

    files: Sequence[SampleFile]
    ignored: Sequence[str]
    """The names of files in the named folders that are not data."""
    place: Place
    layout: str
    compressions: Sequence[str]
    format: str
    """The contract's `input.format`. Empty if the names of all files say it."""
    sidecars: Sequence[str] = ()
    """The names of files in the named folders whose content differs from all others."""
    root: Node = field(default_factory=Node)
    first: list[Any] = field(default_factory=list)
    """The first records."""
    unread: int = 0
    """The number of values that are not JSON, or not objects."""
    others: int = 0
    """The number of records that are not profiled."""

    @property
    def records(self) -> int:
        return self.root.objects


def read_sample(
    files: Sequence[SampleFile],
    ignored: Sequence[str],
    settings: Settings,
    on_read: Callable[[int], object],
    given: InputSettings | None = None,
    is_wanted: Callable[[Any], bool] = lambda _record: True,
) -> Sample:
    """Return the sample with the profile of all its records. `on_read` is called with the number of bytes of each read.

    `given` says how the files arrive; by default, their beginnings decide it. Only the records for which `is_wanted`
    returns True are profiled. Raises CliError if a file can't be read as records.
    """
    data, sidecars = _without_sidecars(files)
    sample = _outline(data, ignored)
    if given:
        sample.place, sample.format = Place(given.records, "the contract says where the records are"), given.format
    sample.sidecars = sidecars
    for file in data:
        try:
            _profile(file, sample, settings, on_read, is_wanted)
        except PipelineError as exc:
            raise CliError(
                f"{file.name}: {exc}", f"Correct {file.name} or leave it out, then run the command again."
            ) from exc
    if not sample.records and sample.others:
        raise CliError(
            "No record names the current version of the contract or a newer one.",
            "Name files with records of the current version: older versions stay as they are.",
        )
    if not sample.records:
        raise CliError(
            f"There aren't any records in {', '.join(file.name for file in files[:3])}: no JSON object was found.",
            "Name a file with JSON objects, one per line or in an array.",
        )
    return sample


def _without_sidecars(files: Sequence[SampleFile]) -> tuple[list[SampleFile], list[str]]:
    """Return the files of data, and the names of files in folders that share no member name with most others."""
    if len(files) < _ENOUGH_FILES or not any(file.is_of_folder for file in files):
        return list(files), []
    names = [frozenset(_first_names(file)) for file in files]
    counts = Counter(name for one in names for name in one)
    usual = {name for name, number in counts.items() if number * 2 > len(files)}
    data, sidecars = list[SampleFile](), list[SampleFile]()
    for file, own in zip(files, names, strict=True):
        is_other = bool(usual) and bool(own) and not own & usual and file.is_of_folder
        (sidecars if is_other else data).append(file)
    return data, sorted({file.path.name for file in sidecars} - {file.path.name for file in data})


def _first_names(file: SampleFile) -> list[str]:
    """Return the member names of a file's first object."""
    head, _ = _beginning(file.path)
    text = head.decode("utf-8", "replace").lstrip(" \t\r\n[")
    return [*dict.fromkeys(_MEMBER_NAME.findall(text[:_LOOKED_AT]))] if text.startswith("{") else []


def _outline(files: Sequence[SampleFile], ignored: Sequence[str]) -> Sample:
    """Return the sample with how its files are read, which their beginnings decide."""
    place, layouts, compressions, unnamed = Place("", ""), [], [], []
    for file in files:
        head, compression = _beginning(file.path)
        if compression:
            compressions.append(compression)
        is_all = len(head) < _BEGINNING
        here = place_of_records(head.decode("utf-8", "replace"), is_all=is_all)
        if here.is_map:
            raise CliError(
                f"{file.name} is an object whose member names are the keys of its records. The pipeline reads arrays, "
                "lines and sequences of records.",
                "Convert it to one record per line: python3 -c 'import json, sys; "
                '[print(json.dumps({"key": k, **v})) for k, v in json.load(sys.stdin).items()]\' '
                f"< {file.name} > converted.jsonl",
            )
        place = here if (here.pointer and not place.pointer) or not place.why else place
        envelope = here.pointer.split("/")[1] if here.pointer else ""
        by_name = layout_by_name(file.path.name, InputSettings())
        layout = layout_of(head, is_all=is_all, by_name=by_name or SEQUENCE, envelope=envelope)
        layouts.append(layout)
        if not by_name:
            unnamed.append("jsonl" if layout == LINES else "json")
    form = "" if not unnamed else "jsonl" if unnamed.count("jsonl") == len(unnamed) else "json"
    layout = LINES if LINES in layouts else SEQUENCE
    return Sample(files, ignored, place, layout, sorted(set(compressions)), form)


def _beginning(path: Path) -> tuple[bytes, str]:
    """Return the first bytes of a file's content, and its compression."""
    with path.open("rb") as file:
        head = file.read(_BEGINNING)
    compression = compression_of(head)
    if not compression:
        return head, ""
    content = b""
    try:
        for block in decompress(iter([head]), compression, _BEGINNING * 1000):
            content += block
            if len(content) >= _BEGINNING:
                break
    except PipelineError:  # the stream goes on after these bytes, or reading the file reports the error
        pass
    return content[:_BEGINNING], compression


def _profile(
    file: SampleFile,
    sample: Sample,
    settings: Settings,
    on_read: Callable[[int], object],
    is_wanted: Callable[[Any], bool],
) -> None:
    for records in records_of(file, sample, settings, on_read):
        values = [one for one in records if type(one) is dict]
        objects = [*filter(is_wanted, values)]
        sample.unread += len(records) - len(values)
        sample.others += len(values) - len(objects)
        if objects:
            sample.root.add(objects)
            sample.first += objects[: FIRST - len(sample.first)]


def again(sample: Sample, settings: Settings) -> Iterator[list[Any]]:
    """Yield all records of a sample again, many at a time."""
    for file in sample.files:
        yield from records_of(file, sample, settings, lambda _n_bytes: None)


def records_of(
    file: SampleFile, sample: Sample, settings: Settings, on_read: Callable[[int], object]
) -> Iterator[list[Any]]:
    """Yield the decoded records of a file, many at a time. What isn't JSON is None."""
    key = f"{PREFIX}sample/{file.path.name}"
    given = InputSettings(records=sample.place.pointer, format=sample.format)
    size = file.path.stat().st_size
    with file.path.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    response = {"ContentLength": size, "ETag": "", "LastModified": datetime.now(UTC)}
    content = content_of(head, size, key, given)
    batch = plan_batch(source_of("", key, "", response), datetime.now(UTC), max(size, 1), content=content)
    first, _ = _beginning(file.path)
    contract = _contract_for(given, _names_in(first))
    document = open_chunk(batch, 0, contract, settings, lambda start: _blocks(file.path, start, on_read))
    for raws in stretches(document.records, _TOGETHER):
        yield _decoded(raws, document.split)


def _names_in(head: bytes) -> list[str]:
    """Return the member names of a document's first value, which make it a record if it is the only one."""
    try:
        value = DECODER.decode(head)
    except (ValueError, RecursionError):  # it goes on after these bytes, or there are several values
        return _MEMBER_NAME.findall(head[:_LOOKED_AT].decode("utf-8", "replace"))
    return [*value] if isinstance(value, dict) else []


def _contract_for(given: InputSettings, names: Sequence[str]) -> Contract:
    """Return a contract that accepts any record, to read a file before there is a contract."""
    table = Table("sample", (), (), (), (), "")
    version = Version(1, {"properties": dict.fromkeys(names, True)}, "")
    return Contract("sample", (version,), (), 1, given, table, (table,), (), (), (), "")


def _blocks(path: Path, start: int, on_read: Callable[[int], object]) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK):
            on_read(len(block))
            yield block


def _decoded(raws: list[RawRecord], split: Callable[[RawRecord], Sequence[RawRecord]]) -> list[Any]:
    """Return the values of records, all at once if each is one value."""
    if not any(raw.oversize for raw in raws):
        try:
            values = DECODER.decode(b"[" + b",".join(raw.data for raw in raws) + b"]")
        except (ValueError, RecursionError):
            pass
        else:
            if len(values) == len(raws):
                return list(values)
    return [_decoded_alone(part) for raw in raws for part in split(raw)]


def _decoded_alone(raw: RawRecord) -> Any:
    if raw.oversize:
        return None
    try:
        return DECODER.decode(raw.data)
    except (ValueError, RecursionError):
        return None
