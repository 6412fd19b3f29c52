"""Compiles a schema into a fast decoder. Records that it accepts are valid. The exact validator checks all others.

Most records are valid, and two inexpensive steps find them. While the chunk is streamed, msgspec reads each record into
a type made from the schema (structure, types, lengths, bounds, enumerations). Keywords that the type can't express
(patterns, formats, exact decimals) become an SQL predicate, which DuckDB evaluates over the whole chunk
(`contract_sql`). If neither can test a keyword, the exact validator tests that part of the record while msgspec reads
it (see `decoding_plan`). The fast path is never laxer than the schema; it may be stricter.

https://jcristharif.com/msgspec/constraints.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec

from functions.common.config import MOST_NESTING
from functions.common.contract import Version
from functions.common.record_types import EPOCHS, INT64, decimal_of
from functions.common.schema_shapes import ARRAY, EMPTY, OBJECT
from functions.common.source.raw import BLANK
from functions.validate.decoding_plan import BOUNDS, DecodingPlan, plan_of
from functions.validate.exact_numbers import loses_digits, loses_tiny_numbers
from functions.validate.extra_fields import ELEMENT, Learned, LearnedFields, Path, learned_fields
from functions.validate.forbidden_characters import plain_test
from functions.validate.untyped_parts import read_untyped, type_of_untyped, type_of_value

_FIRST, _LAST = itemgetter(0), itemgetter(-1)
_OPENING, _CLOSING = frozenset(b"{"), frozenset(b"}")

_MOST_HELD = 64
"""The maximum number of cached fast decoders. Each newly learned set of unknown fields needs a new one."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions that msgspec raises for an input that isn't JSON or doesn't match the type."""


@dataclass(frozen=True, slots=True)
class FastDecoder:
    """Reads records with types that were compiled from a schema."""

    decode: Callable[[bytes], list[Any]]
    """Returns the records in these bytes, in order. Raises one of _UNREADABLE if a record might not be valid."""
    is_plain: Callable[[bytes], bool]
    """Returns True only if these bytes contain none of the characters that the schema forbids in strings."""
    needs_digits: bool
    """Whether the schema has decimals or bounds, which the nearest float of a number can't test."""
    needs_tiny_numbers: bool
    """Whether the schema has strings of JSON, which keep numbers that are too close to zero for a float."""
    levels: int
    """The maximum nesting depth of a record, in the parts whose depth the schema limits."""
    learned: LearnedFields | None = None
    """Removes accepted unknown fields from records. None if the decoder accepts no unknown fields."""

    def read(self, inputs: Sequence[bytes]) -> list[Any] | None:
        """Return one record per input, or None unless all records are valid, apart from what SQL tests.

        The inputs are parsed together. In JSON, `{` follows `}` only after a comma, so a record can't span two inputs
        that begin and end with braces. If there are as many records as inputs, each input is one record.
        """
        objects = self.objects_of(inputs)
        return None if objects is None else self.read_objects(b"\n".join(objects), len(objects))

    @staticmethod
    def objects_of(inputs: Sequence[bytes]) -> Sequence[bytes] | None:
        """Return the inputs without surrounding white space, or None unless each begins and ends as an object."""
        if _are_objects(inputs):
            return inputs
        inputs = [one.strip(BLANK) for one in inputs]
        return inputs if _are_objects(inputs) else None

    def read_objects(self, together: bytes, n_objects: int, *, keeps_digits: bool = False) -> list[Any] | None:
        """Return the records of inputs that `objects_of` returned, as `read` does. `together` has one input per line.

        `keeps_digits` says that no number loses digits, which skips the search for such numbers (see `loses_digits`).
        """
        try:
            records = self.decode(together)
        except _UNREADABLE:
            return None
        if len(records) != n_objects or not self.is_plain(together):
            return None
        if self.needs_digits and not keeps_digits and loses_digits(together):
            return None
        return None if self.needs_tiny_numbers and loses_tiny_numbers(together) else records


def _are_objects(inputs: Sequence[bytes]) -> bool:
    """Return whether each of these inputs begins and ends as an object."""
    try:
        return {*map(_FIRST, inputs)} <= _OPENING and {*map(_LAST, inputs)} <= _CLOSING
    except IndexError:  # an input is empty
        return False


@cache
def plan_of_version(version: Version) -> DecodingPlan:
    """Return the plan for the records of a version. Each plan is made once per process."""
    return plan_of(version)


@lru_cache(maxsize=_MOST_HELD)
def fast_decoder_of(
    version: Version, max_nesting: int = MOST_NESTING, learned: Learned = frozenset(), *, keeps: bool = False
) -> FastDecoder | None:
    """Return the fast decoder of a version for records that nest at most `max_nesting` deep.

    The decoder accepts the unknown fields in `learned`. It drops their values, or keeps them if `keeps` is true.
    Returns None if the schema can't be compiled, which `schema_validator` reports. Each decoder is made once per
    process.
    """
    try:
        plan = plan_of_version(version)
    except ValueError:
        return None
    plans = list(plan.walk())
    return FastDecoder(
        decode=msgspec.json.Decoder(_Types(max_nesting, learned).of(plan, ()), dec_hook=read_untyped).decode_lines,
        is_plain=plain_test(one.shape.part for one in plans if not one.is_untyped),
        needs_digits=any(map(_needs_digits, plans)) or (keeps and bool(learned)),
        needs_tiny_numbers=plan.column.has_json or (keeps and bool(learned)),
        levels=max(one.level + (one.shape.kind in (OBJECT, ARRAY)) for one in plans),
        learned=learned_fields(learned, keeps=keeps) if learned else None,
    )


def _needs_digits(plan: DecodingPlan) -> bool:
    if plan.is_untyped:
        return plan.shape.kind not in ("string", "boolean", EMPTY)
    kind, part = plan.shape.kind, plan.shape.part
    return kind == "number" and ("decimal" in part or bool(part.keys() & BOUNDS))


# --- the type that records are read into ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Types:
    """Makes the types into which msgspec reads the parts of a record."""

    max_nesting: int
    learned: Learned

    def of(self, plan: DecodingPlan, path: Path) -> Any:
        if plan.is_untyped:
            return type_of_untyped(plan, self.max_nesting)
        if plan.branches:
            made: Any = None
            for constant, branch in plan.branches:
                of_branch = self._struct(branch, path, tag=(plan.shape.tag, constant))
                made = of_branch if made is None else made | of_branch
        elif plan.shape.kind == OBJECT:
            made = self._struct(plan, path)
        elif plan.element:
            limits = {"min_length": plan.shape.part.get("minItems"), "max_length": plan.shape.part.get("maxItems")}
            made = _annotated(list[self.of(plan.element, (*path, ELEMENT))], limits)  # type: ignore[misc]
        else:
            made = _MAKERS[plan.shape.kind](plan.shape.part)
        return made | None if plan.shape.nullable and made is not None else made

    def _struct(self, plan: DecodingPlan, path: Path, tag: tuple[str, str | int] | None = None) -> Any:
        fields: list[Any] = []
        names = {}
        required = plan.shape.part.get("required", [])
        for number, (name, member) in enumerate(plan.members.items()):
            if tag and name == tag[0]:
                continue
            names[f"f{number}"] = name
            made = self.of(member, (*path, name))
            optional = (made | msgspec.UnsetType if made else msgspec.UnsetType | None, msgspec.UNSET)
            fields.append((f"f{number}", made) if name in required else (f"f{number}", *optional))
        for number, name in enumerate(sorted(name for place, name in self.learned if place == path)):
            names[f"x{number}"] = name
            extra = type_of_value(self.max_nesting - plan.level - 1)
            fields.append((f"x{number}", extra | msgspec.UnsetType, msgspec.UNSET))
        tagged: dict[str, Any] = {"tag_field": tag[0], "tag": tag[1]} if tag else {}
        return msgspec.defstruct(
            "Part", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False, **tagged
        )


def _null(_part: Mapping[str, Any]) -> Any:
    return None


def _string(part: Mapping[str, Any]) -> Any:
    if constants := _constants(part):
        return Literal[constants]
    return _annotated(str, {"min_length": part.get("minLength"), "max_length": part.get("maxLength")})


def _integer(part: Mapping[str, Any]) -> Any:
    if constants := _constants(part):
        return Literal[constants]
    if (form := part.get("format")) in EPOCHS:
        least, most = EPOCHS[str(form)]
        narrowed = {name: bound for name, bound in part.items() if name not in BOUNDS or least < bound < most}
        lower = {"minimum": least} if not narrowed.keys() & {"minimum", "exclusiveMinimum"} else {}
        upper = {"maximum": most} if not narrowed.keys() & {"maximum", "exclusiveMaximum"} else {}
        part = {**narrowed, **lower, **upper}
    return _annotated(int, _bounds(part, INT64[1]))


def _constants(part: Mapping[str, Any]) -> tuple[Any, ...]:
    values = [part["const"]] if "const" in part else part.get("enum", [])
    return tuple(value for value in values if value is not None)


def _number(part: Mapping[str, Any]) -> Any:
    """Return a type that keeps whole numbers as integers, so they are written in the same form as they were sent."""
    if "decimal" not in part:
        return _annotated(int, _bounds(part, INT64[1])) | _annotated(float, _bounds(part, None))
    precision, scale = decimal_of(part["decimal"])
    bounds = _bounds(part, min(10 ** (precision - scale), INT64[1]))
    return _annotated(int, bounds) | _annotated(float, bounds)


def _boolean(_part: Mapping[str, Any]) -> Any:
    return bool


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    EMPTY: _null,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _bounds(part: Mapping[str, Any], limit: int | None) -> dict[str, int | None]:
    """Return the tighter of a part's own bounds and its type's bounds, which are above `-limit` and below `limit`."""
    # The bounds of INT64 are msgspec's own bounds.
    part = {name: bound for name, bound in part.items() if name not in BOUNDS or bound not in INT64}
    least, most = part.get("minimum"), part.get("maximum")
    lows = [bound for bound in (None if limit is None else -limit, part.get("exclusiveMinimum")) if bound is not None]
    highs = [bound for bound in (limit, part.get("exclusiveMaximum")) if bound is not None]
    above, below = max(lows, default=None), min(highs, default=None)
    lower = {"gt": above} if least is None or (above is not None and above >= least) else {"ge": least}
    upper = {"lt": below} if most is None or (below is not None and below <= most) else {"le": most}
    return {**lower, **upper}


def _annotated(made: Any, limits: Mapping[str, int | None]) -> Any:
    given: Any = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[made, msgspec.Meta(**given)] if given else made
