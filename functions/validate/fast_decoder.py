"""A schema compiled for speed: a record that it accepts is valid, and the exact validator judges all others.

Most records are valid, and two inexpensive steps find them. While the chunk streams by, msgspec reads each record into
a type made from the schema (structure, types, lengths, bounds, enumerations). What that can't express (patterns,
formats, exact decimals) is an SQL predicate, which DuckDB evaluates over the whole chunk at once (`contract_sql`).
Neither is ever laxer than the schema; both may be stricter. A schema with a keyword that is not known here has no fast
decoder.

https://jcristharif.com/msgspec/constraints.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec

from functions.common.contract import Version
from functions.common.record_types import INT64, decimal_of, merged, resolve, type_of
from functions.common.source.raw import BLANK
from functions.validate.contract_sql.predicates import WITHOUT_CHARACTERS, is_expressible
from functions.validate.exact_numbers import loses_digits

_FIRST, _LAST = itemgetter(0), itemgetter(-1)
_OPENING, _CLOSING = frozenset(b"{"), frozenset(b"}")

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What msgspec raises of texts that it can't read, or not as the type."""

ANNOTATIONS = frozenset(
    {
        "$schema",
        "$comment",
        "$defs",
        "title",
        "description",
        "examples",
        "default",
        "deprecated",
        "readOnly",
        "writeOnly",
    }
)
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_KNOWN = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format", "enum"},
    "integer": {*_BOUNDS, "const"},
    "number": {*_BOUNDS, "decimal"},
    "boolean": set[str](),
}
"""The keywords of each type that the fast decoder understands, in addition to `type`."""

_EXACT_IN_A_FLOAT = 2**53
_RANGE = re.compile(r"\\u(....)(?:-\\u(....))?")
_SHORT_ESCAPES = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x2F: "/", 0x5C: "\\"}


@dataclass(frozen=True, slots=True)
class FastDecoder:
    """What a schema was compiled to."""

    decode: Callable[[bytes], list[Any]]
    """The records in these bytes, one after the other. Raises one of _UNREADABLE where one might not be valid."""
    is_plain: Callable[[bytes], bool]
    """Whether these bytes surely have none of the characters that the schema's texts must not have."""
    needs_digits: bool
    """Whether the schema asks more of a number than the nearest float can show: it is a decimal, or has bounds."""
    levels: int
    """How deep a record nests at most."""

    def read(self, texts: Sequence[bytes]) -> list[Any] | None:
        """The records in these texts, one in each; None unless all are surely valid, up to what SQL tests.

        They are read at once. Nothing in JSON goes on behind a `}` with a `{`, so a record can't reach over two texts
        that begin and end so, and as many records as texts are one in each.
        """
        objects = self.objects_of(texts)
        return None if objects is None else self.read_objects(b"\n".join(objects), len(objects))

    @staticmethod
    def objects_of(texts: Sequence[bytes]) -> Sequence[bytes] | None:
        """The texts without white space around them; None unless each of them then begins and ends as an object."""
        if _are_objects(texts):
            return texts
        texts = [text.strip(BLANK) for text in texts]
        return texts if _are_objects(texts) else None

    def read_objects(self, together: bytes, n_objects: int, *, keeps_digits: bool = False) -> list[Any] | None:
        """The same for texts that `objects_of` returned, one on each line.

        `keeps_digits` says that none of their numbers loses digits (see `loses_digits`): no search is needed then.
        """
        try:
            records = self.decode(together)
        except _UNREADABLE:
            return None
        if len(records) != n_objects or not self.is_plain(together):
            return None
        return None if self.needs_digits and not keeps_digits and loses_digits(together) else records


def _are_objects(texts: Sequence[bytes]) -> bool:
    """Whether each of these texts begins and ends as an object does."""
    try:
        return {*map(_FIRST, texts)} <= _OPENING and {*map(_LAST, texts)} <= _CLOSING
    except IndexError:  # a text is empty
        return False


@cache
def fast_decoder_of(version: Version) -> FastDecoder | None:
    """The fast decoder of a version, made once a process; None if its schema has something that can't be compiled."""
    schema = version.schema
    try:
        parts = list(_parts(schema, schema))
        fast_decoder = FastDecoder(
            decode=msgspec.json.Decoder(_type(schema, schema)).decode_lines,
            is_plain=_plain_test(parts),
            needs_digits=any(map(_needs_digits, parts)),
            levels=_levels(schema, schema),
        )
        return fast_decoder if is_expressible(schema) else None
    except _NotUnderstoodError:
        return None


class _NotUnderstoodError(Exception):
    """Raised where the schema has something that the fast decoder can't express."""


def _understood(schema: Any, root: Any) -> tuple[dict[str, Any], str, bool]:
    """A part of a schema with its references merged in, its one type, and whether it may be null."""
    part = dict(merged(schema, root))
    kind, nullable = type_of(part)
    if "$ref" in schema and (schema.keys() & resolve(schema["$ref"], root).keys()) - ANNOTATIONS:
        raise _NotUnderstoodError  # both hold then, and neither outranks the other
    if part.keys() - ANNOTATIONS - _KNOWN[kind] - {"type"}:
        raise _NotUnderstoodError
    if "enum" in part:
        if not all(isinstance(value, str) or value is None for value in part["enum"]):
            raise _NotUnderstoodError
        nullable = nullable and None in part["enum"]
    return part, kind, nullable


def _inner(part: Mapping[str, Any], kind: str) -> Iterable[Any]:
    """The schemas of a part's members, or of its elements."""
    return part["properties"].values() if kind == "object" else [part["items"]] if kind == "array" else []


def _parts(schema: Any, root: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema, from the outside to the inside."""
    part, kind, _ = _understood(schema, root)
    yield part
    for inner in _inner(part, kind):
        yield from _parts(inner, root)


def _needs_digits(part: Mapping[str, Any]) -> bool:
    return "decimal" in part or ("integer" not in part.get("type", ()) and bool(part.keys() & _BOUNDS))


def _levels(schema: Any, root: Any) -> int:
    part, kind, _ = _understood(schema, root)
    inner = [_levels(inner, root) for inner in _inner(part, kind)]
    return 1 + max(inner) if inner else 0


# --- the type that records are read into ------------------------------------------------------------------------------


def _type(schema: Any, root: Any) -> Any:
    """The type that msgspec reads what `schema` describes into."""
    part, kind, nullable = _understood(schema, root)
    made = _MAKERS[kind](part, root)
    return made | None if nullable else made


def _object(part: Mapping[str, Any], root: Any) -> Any:
    known = list(part["properties"])  # not a set: who knows what stands in `required`
    if part.get("additionalProperties") is not False or any(name not in known for name in part.get("required", [])):
        raise _NotUnderstoodError
    fields: list[Any] = []
    names = {}
    for number, (name, schema) in enumerate(part["properties"].items()):
        if not name.isprintable() or {'"', "\\"} & {*name}:
            raise _NotUnderstoodError  # msgspec takes no name that JSON must escape
        names[f"f{number}"] = name
        made = _type(schema, root)
        required = name in part.get("required", [])
        fields.append((f"f{number}", made) if required else (f"f{number}", made | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct("Part", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)


def _array(part: Mapping[str, Any], root: Any) -> Any:
    limits = {"min_length": part.get("minItems"), "max_length": part.get("maxItems")}
    return _annotated(list[_type(part["items"], root)], limits)  # type: ignore[misc]


def _string(part: Mapping[str, Any], _root: Any) -> Any:
    if "enum" in part:
        if part.keys() & {"minLength", "maxLength", "pattern", "format"}:
            raise _NotUnderstoodError
        texts = tuple(value for value in part["enum"] if value is not None)
        if not texts:
            raise _NotUnderstoodError
        return Literal[texts]
    return _annotated(str, {"min_length": part.get("minLength"), "max_length": part.get("maxLength")})


def _integer(part: Mapping[str, Any], _root: Any) -> Any:
    if "const" in part:
        if part.keys() & _BOUNDS or type(part["const"]) is not int:
            raise _NotUnderstoodError
        return Literal[part["const"]]
    return _annotated(int, _bounds(part, INT64[1]))


def _number(part: Mapping[str, Any], _root: Any) -> Any:
    """A whole number stays one, so that it is written again as it came."""
    if "decimal" not in part:
        return _annotated(int, _bounds(part, INT64[1])) | _annotated(float, _bounds(part, None))
    precision, scale = decimal_of(part["decimal"])
    bounds = _bounds(part, min(10 ** (precision - scale), INT64[1]))
    return _annotated(int, bounds) | _annotated(float, bounds)


def _boolean(_part: Mapping[str, Any], _root: Any) -> Any:
    return bool


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _bounds(part: Mapping[str, Any], limit: int | None) -> dict[str, int | None]:
    """The tighter of a part's bounds and those that its type brings: below `limit` and above its negative."""
    part = {name: bound for name, bound in part.items() if name not in _BOUNDS or bound not in INT64}  # msgspec's own
    given = [part[name] for name in _BOUNDS if name in part]
    if any(type(bound) is not int or abs(bound) > _EXACT_IN_A_FLOAT for bound in given):
        raise _NotUnderstoodError
    least, most = part.get("minimum"), part.get("maximum")
    lows = [bound for bound in (None if limit is None else -limit, part.get("exclusiveMinimum")) if bound is not None]
    highs = [bound for bound in (limit, part.get("exclusiveMaximum")) if bound is not None]
    above, below = max(lows, default=None), min(highs, default=None)
    lower = {"gt": above} if least is None or (above is not None and above >= least) else {"ge": least}
    upper = {"lt": below} if most is None or (below is not None and below <= most) else {"le": most}
    return {**lower, **upper}


def _annotated(made: Any, limits: Mapping[str, int | None]) -> Any:
    given: Any = {name: limit for name, limit in limits.items() if limit is not None}
    if any(type(limit) is not int for limit in given.values()):
        raise _NotUnderstoodError
    return Annotated[made, msgspec.Meta(**given)] if given else made


# --- characters that must not be there --------------------------------------------------------------------------------


def _plain_test(parts: Iterable[Mapping[str, Any]]) -> Callable[[bytes], bool]:
    """The test whether no text in some JSON can have a character that one of the parts forbids.

    A control character stands in JSON only as an escape, any other also as itself (RFC 8259, section 7).
    """
    found = [WITHOUT_CHARACTERS.fullmatch(str(part.get("pattern", ""))) for part in parts]
    forbidden = sorted({character for match in found if match for character in _characters(match[1])})
    if not forbidden:
        return lambda _data: True
    written = [bytes([character]) for character in forbidden if character >= 0x20]
    escapes = [f"u00(?i:{character:02x})" for character in forbidden]
    escapes += [re.escape(_SHORT_ESCAPES[character]) for character in forbidden if character in _SHORT_ESCAPES]
    is_escaped = re.compile(rf"\\(?:{'|'.join(escapes)})".encode()).search
    return lambda data: not (any(character in data for character in written) or (b"\\" in data and is_escaped(data)))


def _characters(ranges: str) -> Iterator[int]:
    for first, last in _RANGE.findall(ranges):
        yield from range(int(first, 16), int(last or first, 16) + 1)
