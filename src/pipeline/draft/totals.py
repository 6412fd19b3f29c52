"""Finds totals: amounts of a record that are the sum of its other amounts and of an amount of its lines.

A few records suggest totals, and then all records of the sample must confirm them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import Any

from functions.common.json_pointer import pointer_of
from pipeline.draft.names import snake, words_of
from pipeline.draft.profile import Number
from pipeline.draft.sql import ident, member
from pipeline.draft.types import AMOUNT_WORDS, ROWS, SCALAR, Field

_ENOUGH = 5
_MOST_AMOUNTS, _MOST_PARTS = 10, 3
_QUANTITY_WORDS = frozenset(["quantity", "qty", "count", "units"])
_TOTAL_WORDS = frozenset(["total", "subtotal", "sum", "amount", "net", "gross", "balance"])


@dataclass(frozen=True)
class Lines:
    """The sum of an amount over the elements of an array."""

    array: str
    amount: str
    quantity: str = ""
    """The factor of the amount in each element. Empty if there is none."""

    def of(self, record: Any) -> Decimal | None:
        elements = record.get(self.array)
        if elements is None:
            return Decimal(0)
        if type(elements) is not list:
            return None
        total = Decimal(0)
        for one in elements:
            amount = _amount(one.get(self.amount)) if type(one) is dict else None
            quantity = _amount(one.get(self.quantity)) if amount is not None and self.quantity else Decimal(1)
            if amount is None or quantity is None:
                return None
            total += amount * quantity
        return total

    @property
    def sql(self) -> str:
        value = member("line", self.amount)
        if self.quantity:
            value = f"{member('line', self.quantity)} * {value}"
        return f"coalesce(list_sum(list_transform({ident(self.array)}, lambda line: {value})), 0)"

    @property
    def says(self) -> str:
        what = f"{self.quantity} × {self.amount}" if self.quantity else self.amount
        return f"the sum of {what} over {pointer_of([self.array])}"


@dataclass(frozen=True)
class Total:
    """A field that is a sum in every record."""

    field: str
    lines: Lines | None
    parts: tuple[tuple[str, int], ...]
    """Other fields of the record, each with 1 if it is added, and -1 if it is subtracted."""

    def holds(self, record: Any) -> bool:
        """Return whether a record's total is the sum. It is if the record has no total."""
        total = _amount(record.get(self.field))
        if total is None:
            return record.get(self.field) is None
        return self.of(record) == total

    def of(self, record: Any) -> Decimal | None:
        """Return the sum in a record. None if one of its parts isn't a number."""
        found = self.lines.of(record) if self.lines else Decimal(0)
        for name, sign in self.parts:
            value = record.get(name)
            amount = Decimal(0) if value is None else _amount(value)
            if amount is None or found is None:
                return None
            found += sign * amount
        return found

    @property
    def sql(self) -> str:
        terms = [self.lines.sql] if self.lines else []
        text = " + ".join(terms)
        for name, sign in self.parts:
            text += (" - " if sign < 0 else " + " if text else "") + f"coalesce({ident(name)}, 0)"
        return f"{ident(self.field)} IS NULL OR {ident(self.field)} = {text}"

    @property
    def says(self) -> str:
        """The right side of the sum, in words."""
        text = self.lines.says if self.lines else ""
        for name, sign in self.parts:
            text += (" minus " if sign < 0 else " plus " if text else "") + pointer_of([name])
        return text

    @property
    def code(self) -> str:
        return f"{snake(self.field)}_mismatch"


def suggested(record: Field, records: Sequence[Any]) -> list[Total]:
    """Return the totals that hold in some records, the simplest for each field."""
    amounts = [name for name, one in record.members.items() if _is_amount(one)][:_MOST_AMOUNTS]
    lines = [*_lines(record)]
    found: list[Total] = []
    for field in amounts:
        if not _TOTAL_WORDS & set(words_of(field)):
            continue
        others = [name for name in amounts if name != field]
        total = next((one for one in _candidates(field, others, lines) if _is_shown(one, records)), None)
        if total and not any({field} <= {name for name, _ in one.parts} for one in found if not one.lines):
            found.append(total)
    return found


def confirmed(totals: Sequence[Total], batches: Iterable[Sequence[Any]]) -> list[Total]:
    """Return the totals that hold in all records."""
    left = list(totals)
    for records in batches:
        left = [one for one in left if all(one.holds(record) for record in records if type(record) is dict)]
        if not left:
            break
    return left


def correct(example: dict[str, Any], totals: Sequence[Total]) -> None:
    """Change an example so that its totals are the sums of its amounts."""
    for total in [*totals, *totals]:  # a total can be part of another one
        found = total.of(example)
        if found is not None and total.field in example:
            kind = type(example[total.field])
            example[total.field] = (
                kind(found) if kind is not int or found == found.to_integral_value() else float(found)
            )


def _candidates(field: str, others: Sequence[str], lines: Sequence[Lines]) -> Iterator[Total]:
    for number in range(_MOST_PARTS + 1):
        for parts in combinations(others, number):
            signed = tuple((name, -1 if "discount" in snake(name) else 1) for name in parts)
            for one in lines:
                yield Total(field, one, signed)
            if number > 1:
                yield Total(field, None, signed)


def _is_shown(total: Total, records: Sequence[Any]) -> bool:
    """Return whether enough records show a total, with different values and each part above 0 somewhere."""
    if not all(map(total.holds, records)):
        return False
    sums = {record.get(total.field) for record in records} - {None}
    if len(sums) < _ENOUGH:
        return False
    if total.lines and not any(total.lines.of(record) for record in records):
        return False
    return all(any(_amount(record.get(name)) for record in records) for name, _ in total.parts)


def _lines(record: Field) -> Iterator[Lines]:
    for name, one in record.members.items():
        if one.kind != ROWS or one.element is None:
            continue
        amounts = [inner for inner, field in one.element.members.items() if _is_amount(field)]
        quantities = [inner for inner in amounts if _QUANTITY_WORDS & set(words_of(inner))]
        for amount in amounts[:_MOST_AMOUNTS]:
            if amount not in quantities:
                yield Lines(name, amount)
                yield from (Lines(name, amount, quantity) for quantity in quantities[:2])


def _is_amount(one: Field) -> bool:
    is_exact = one.kind == SCALAR and (one.type == "BIGINT" or one.type.startswith("DECIMAL"))
    return is_exact and not one.breaks and bool(AMOUNT_WORDS & set(words_of(one.name)))


def _amount(value: Any) -> Decimal | None:
    if type(value) not in (int, float, Number, str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None
