"""The types of msgspec for parts of a record that it only parses, and that are tested and converted afterwards."""

from collections.abc import Callable
from typing import Any

from functions.common.schema_shapes import ARRAY, JSON, OBJECT
from functions.validate.decoding_plan import Plan
from functions.validate.json_values import converter_of


class _AnyValue(type):
    """The type of types that every value has: msgspec asks whether what was made of a value is an instance."""

    def __instancecheck__(cls, _instance: object) -> bool:
        return True


def type_of_judged(plan: Plan, max_nesting: int) -> Any:
    """The type of one judged part: `read_judged` makes of a parsed value what is handed on, or raises ValueError."""
    is_valid, types, convert = plan.is_valid, plan.types, converter_of(plan.column)
    levels = max_nesting - plan.level
    can_nest = plan.shape.kind in (JSON, OBJECT, ARRAY)

    def read(value: Any) -> Any:
        if types is not None and type(value) not in types:
            raise ValueError("a value of another type")
        if can_nest and isinstance(value, dict | list) and _nests_deeper(value, levels):
            raise ValueError("a value that nests too deeply")
        if is_valid and not is_valid(value):
            raise ValueError("a value that breaks its schema")
        return convert(value) if convert else value

    return _AnyValue("Judged", (), {"read": staticmethod(read)})


def type_of_value(levels: int) -> Any:
    """The type of a value that nothing is known of, except that it nests at most `levels` deep."""

    def read(value: Any) -> Any:
        if isinstance(value, dict | list) and _nests_deeper(value, levels):
            raise ValueError("a value that nests too deeply")
        return value

    return _AnyValue("Value", (), {"read": staticmethod(read)})


def read_judged(kind: Any, value: Any) -> Any:
    """What is made of a parsed value that is of a judged part: msgspec calls this."""
    read: Callable[[Any], Any] = kind.read
    return read(value)


def _nests_deeper(value: Any, levels: int) -> bool:
    """Whether the arrays and objects of a value nest deeper than this."""
    inner = [value]
    for _ in range(levels):
        parts = (part for whole in inner for part in (whole.values() if isinstance(whole, dict) else whole))
        inner = [part for part in parts if isinstance(part, dict | list)]
        if not inner:
            return False
    return True
