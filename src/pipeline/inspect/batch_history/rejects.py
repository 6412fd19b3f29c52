"""Groups rejects by violated rule and place, with a few samples each. Masks values by default.

Masks every string and number of a record, since a telephone number may be either. The result keeps what a producer
needs to find the fault: field names, structure, true, false, null, and string lengths. Memory doesn't grow with the
file: groups, positions and samples are limited, and large records aren't kept.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson

from functions.common.documents.failure_record import FailureRecord
from functions.common.documents.manifest import Manifest
from functions.common.reject_codes import SUPERSEDED
from pipeline.deploy.targets import Target
from pipeline.errors import CliError
from pipeline.inspect.batch_history.model import Problem, Reject, RejectGroup, Rejects

MAX_GROUPS = 100
MAX_PLACES = 5
_LARGEST_SAMPLE = 64 << 10
_MAX_ELEMENTS, _MAX_LEVELS = 10, 64
_INDEX = re.compile(r"/\d+(?=/|$)")
_RECORD = b',"record":'
_RAW = re.compile(rb',"raw(?:_base64)?":')


@dataclass
class _Group:
    message: str
    position_kind: str
    count: int = 0
    places: list[int] = field(default_factory=list)
    samples: list[Reject] = field(default_factory=list)


def rejects_key(manifest: Manifest | None, failures: Sequence[FailureRecord]) -> str | None:
    """Return the key of a batch's rejects in the processed bucket, or None if it has no rejects."""
    if manifest:
        return manifest.rejects_key
    return next((failure.rejects_key for failure in reversed(failures) if failure.rejects_key), None)


def rejects_in(
    place: Target, key: str, samples: int, *, show_values: bool = False, max_bytes: int | None = None
) -> Rejects:
    """Return the rejects in a file of the processed bucket, read line by line. Raises CliError for any other file."""
    try:
        body = place.s3().get_object(Bucket=place.outputs()["processed_bucket"], Key=key)["Body"]
    except place.s3().exceptions.NoSuchKey:
        return Rejects(key, (), 0, is_whole=True, masked=True, is_missing=True)
    with closing(body):
        try:
            lines = body.iter_lines(chunk_size=1 << 16)
            return read_rejects(key, lines, samples, show_values=show_values, max_bytes=max_bytes)
        except (KeyError, TypeError, ValueError) as exc:
            raise CliError(
                f"s3://{place.outputs()['processed_bucket']}/{key} isn't a file of rejects ({type(exc).__name__}).",
                "The file was changed. Restore the version that the pipeline wrote.",
            ) from exc


def read_rejects(
    key: str, lines: Iterable[bytes], samples: int = 3, *, show_values: bool = False, max_bytes: int | None = None
) -> Rejects:
    """Return the rejects in the lines of the file `key`, with at most `samples` per group.

    Stops after `max_bytes`. Raises ValueError for a line that isn't a reject.
    """
    groups: dict[tuple[str, str, str], _Group] = {}
    read = n_bytes = ungrouped = 0
    is_whole = True
    for line in lines:
        if max_bytes is not None and n_bytes > max_bytes:
            is_whole = False
            break
        read, n_bytes = read + 1, n_bytes + len(line)
        content = _content(line.rstrip(b"\n"))
        first: Mapping[str, str] = next(iter(content["errors"]), {"rule": "", "pointer": "", "message": ""})
        name = str(content["reason"]), first["rule"], _INDEX.sub("/*", first["pointer"])
        if name not in groups and len(groups) == MAX_GROUPS:
            ungrouped += 1
            continue
        group = groups.setdefault(name, _Group(str(first["message"]), str(content["position_kind"])))
        group.count += 1
        if len(group.places) < MAX_PLACES:
            group.places.append(int(content["position"]))
        if len(group.samples) < samples:
            group.samples.append(_sample(content, _cut if show_values else masked))
    found = [
        RejectGroup(*name, one.message, one.count, one.position_kind, tuple(one.places), tuple(one.samples))
        for name, one in groups.items()
    ]
    found.sort(key=lambda group: (group.reason == SUPERSEDED, -group.count))  # equal groups keep the file's order
    return Rejects(key, tuple(found), read, is_whole, not show_values, ungrouped)


def _sample(content: Mapping[str, Any], shown: Callable[[Any], Any]) -> Reject:
    return Reject(
        position=int(content["position"]),
        position_kind=str(content["position_kind"]),
        reason=str(content["reason"]),
        problems=tuple(Problem(one["code"], one["pointer"], one["rule"], one["message"]) for one in content["errors"]),
        record=content["not_shown"] if "not_shown" in content else shown(content.get("record")),
        raw=shown(content.get("raw", content.get("raw_base64"))),
        truncated_from=content.get("truncated_from"),
    )


def _content(line: bytes) -> Mapping[str, Any]:
    """Return the content of a line. A large or deeply nested record is replaced by its size."""
    try:
        if len(line) <= _LARGEST_SAMPLE:
            content: dict[str, Any] = orjson.loads(line)
            return content
    except orjson.JSONDecodeError:
        pass  # the beginning of the line still says why the record was rejected
    head = _RAW.split(line.split(_RECORD, 1)[0], maxsplit=1)[0]
    content = orjson.loads(head if head == line else head + b"}")
    return {**content, "not_shown": f"<a record of about {len(line) - len(head):,} bytes, not shown>"}


def masked(value: Any) -> Any:
    """Return a JSON value with the same structure but masked strings and numbers. Long arrays are cut."""
    return _cut(value, _mask, _MAX_ELEMENTS)


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return f"<text:{len(value)}>"
    return value if value is None or isinstance(value, bool) else "<number>"


def _cut(value: Any, shown: Callable[[Any], Any] = lambda one: one, most: int | None = None, levels: int = 0) -> Any:
    """Cut a JSON value to a printable depth, and to `most` elements per array. `shown` converts scalars."""
    if not isinstance(value, dict | list):
        return shown(value)
    if levels == _MAX_LEVELS:
        return "<nested deeper>"
    if isinstance(value, dict):
        return {name: _cut(part, shown, most, levels + 1) for name, part in value.items()}
    more = len(value) - (len(value) if most is None else most)
    return [*(_cut(part, shown, most, levels + 1) for part in value[:most]), *([f"<{more} more>"] if more > 0 else [])]
