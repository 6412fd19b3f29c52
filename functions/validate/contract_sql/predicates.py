"""Writes SQL conditions on the values of a record from the record's schema.

A record that the fast decoder has read has the structure, the types and the bounds of its schema. This module tests
what the decoder can't test: patterns, formats and exact decimals. A condition may be stricter than the schema, but is
never laxer.
"""

from collections.abc import Callable, Iterator

from functions.common.contract import SENT
from functions.common.record_types import SIGNIFICANT_DIGITS, decimal_of, kept_type
from functions.common.reject_lines import shown_step
from functions.common.schema_shapes import ARRAY, EMPTY, JSON, OBJECT, Shape, shape_of
from functions.common.sql import identifier, literal
from functions.validate.contract_sql.patterns import decimal_string, pattern_conditions
from functions.validate.decoding_plan import DecodingPlan

ConditionsOf = Callable[[Shape, str], Iterator[str]]
"""Returns the conditions on a value that isn't an object or array, from its shape and its SQL expression."""

_AS_SENT = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
"""The column types that JSON values have without conversion."""

_FINER_THAN_A_MICROSECOND = "[.][0-9]{6}[0-9]*[1-9]"


def surely_valid(plan: DecodingPlan) -> str:
    """Return a predicate that is true only if a record that the fast decoder read by this plan is valid."""
    return " AND ".join(["true", *_planned(plan, SENT)])


def surely_fits(schema: object) -> str:
    """Return a predicate that is true only if every number in a valid record was read exactly and every time exists."""
    return _all_conditions(schema, _surely_fits)


def fits_by_place(schema: object) -> list[tuple[str, str, str]]:
    """Return conditions that are all true only if each value of a record can be kept as its type.

    Each tuple has the SQL condition, the JSON Pointer of the value (or of its array), and the predicate of a sentence
    for the reject. The record must be read with every digit.
    """
    return list(_by_place(shape_of(schema, schema), SENT, ""))


def _by_place(shape: Shape, place: str, pointer: str) -> Iterator[tuple[str, str, str]]:
    if shape.kind == OBJECT:
        for name, member in shape.columns.items():
            yield from _by_place(member, f"{place}.{identifier(name)}", f"{pointer}/{shown_step(name)}")
    elif condition := " AND ".join(_conditions(shape, place, _fits)):
        scalar = shape
        while scalar.element:
            scalar = scalar.element
        sentence = "has an element that its column cannot hold" if scalar is not shape else "does not fit in its column"
        if scalar.kind == "string" and scalar.part.get("format") == "date-time":
            sentence = (
                "must be an existing time with uppercase T and Z, at most 6 decimals of a second, and no leap second"
            )
        elif scalar.kind == "string" and scalar.part.get("format") == "date":
            sentence = "must be an existing date"
        yield condition, pointer, sentence


def _all_conditions(schema: object, conditions_of: ConditionsOf) -> str:
    """Return a predicate that is true if each value that isn't null meets its conditions, otherwise false or null."""
    return " AND ".join(["true", *_conditions(shape_of(schema, schema), SENT, conditions_of)])


def _conditions(shape: Shape, place: str, conditions_of: ConditionsOf) -> Iterator[str]:
    if shape.kind == OBJECT:
        for name, member in shape.columns.items():
            yield from _conditions(member, f"{place}.{identifier(name)}", conditions_of)
    elif shape.kind == ARRAY and shape.element:
        yield from _of_elements(place, lambda element: _conditions(shape.element, element, conditions_of))  # type: ignore[arg-type]
    elif shape.kind not in (JSON, EMPTY) and (of_this := " AND ".join(conditions_of(shape, place))):
        yield f"({place} IS NULL OR ({of_this}))"


def _planned(plan: DecodingPlan, place: str) -> Iterator[str]:
    """Yield the conditions on a part of a record that was read by a plan."""
    if plan.is_untyped:
        yield from _conditions(plan.column, place, _surely_fits)
    elif plan.branches:
        tag = f"{place}.{identifier(plan.shape.tag)}"
        found = [(constant, list(_planned(branch, place))) for constant, branch in plan.branches]
        in_all = [one for one in found[0][1] if all(one in conditions for _, conditions in found)]
        yield from in_all
        for constant, conditions in found:
            if own := " AND ".join(one for one in conditions if one not in in_all):
                yield f"({tag} IS DISTINCT FROM {_constant(constant)} OR ({own}))"
    elif plan.shape.kind == OBJECT:
        for name, member in plan.members.items():
            if member.column.kind != EMPTY:
                yield from _planned(member, f"{place}.{identifier(name)}")
        if plan.condition:
            yield f"({place} IS NULL OR {plan.condition(place)})"
    elif plan.element:
        element_plan = plan.element
        if plan.shape.part.get("uniqueItems"):
            yield f"({place} IS NULL OR len(list_distinct({place})) = len({place}))"
        yield from _of_elements(place, lambda element: _planned(element_plan, element))
    elif plan.shape.kind != EMPTY and (of_this := " AND ".join(_not_decoded(plan, place))):
        yield f"({place} IS NULL OR ({of_this}))"


def _constant(value: str | int) -> str:
    return literal(value) if isinstance(value, str) else str(value)


def _of_elements(place: str, conditions_of: Callable[[str], Iterator[str]]) -> Iterator[str]:
    element = f"element_{place.count('element_')}"
    if of_element := " AND ".join(conditions_of(element)):
        broken = f"list_filter({place}, lambda {element}: NOT coalesce({of_element}, false))"
        yield f"({place} IS NULL OR len({broken}) = 0)"


def _fits(shape: Shape, place: str) -> Iterator[str]:
    """Yield the conditions for keeping a value as its type: a decimal is below its bound, and a time exists."""
    kept_as = kept_type(shape)
    if shape.kind == "string" and "decimal" in shape.part:
        yield decimal_string(shape.part, place)
    if kept_as == "TIMESTAMPTZ":
        yield f"NOT regexp_matches({place}, '{_FINER_THAN_A_MICROSECOND}')"
    if kept_as not in _AS_SENT and shape.kind != "integer":  # whole numbers that are times are within their bounds
        yield f"TRY_CAST({place} AS {kept_as}) IS NOT NULL"


def _surely_fits(shape: Shape, place: str) -> Iterator[str]:
    """Yield the conditions of `_fits`. For a float that becomes a decimal, yield conditions that prove it is exact.

    The decimal must have at most as many digits as a float keeps, and cast back to the same float. Multiplied by its
    power of ten, it is then below 2^53 and therefore exact.
    """
    if shape.kind == "number" and "decimal" in shape.part:
        precision, scale = decimal_of(shape.part["decimal"])
        yield f"abs({place}) < 1e{SIGNIFICANT_DIGITS - scale}"
        yield f"CAST(TRY_CAST({place} AS DECIMAL({precision},{scale})) AS DOUBLE) = {place}"
    else:
        yield from _fits(shape, place)


def _not_decoded(plan: DecodingPlan, place: str) -> Iterator[str]:
    """Yield the conditions on a value that the fast decoder doesn't test."""
    if plan.shape.kind == "string":
        yield from pattern_conditions(plan.shape.part, place)
    yield from _surely_fits(plan.shape, place)
    if plan.column is not plan.shape:
        yield from _surely_fits(plan.column, place)
