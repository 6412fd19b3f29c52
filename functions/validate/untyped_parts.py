"""Makes msgspec types for parts of a record that msgspec only parses. The parts are tested after parsing."""

from collections.abc import Callable
from typing import Any

from functions.common.schema_shapes import ARRAY, JSON, OBJECT
from functions.validate.decoding_plan import DecodingPlan
from functions.validate.json_values import converter_of


class _AnyValue(type):
    """A metaclass that makes isinstance true for any value, because msgspec tests converted values with isinstance."""

    def __instancecheck__(cls, _instance: object) -> bool:
        return True


def type_of_untyped(plan: DecodingPlan, max_nesting: int) -> Any:
    """Return the type of one untyped part. `read_untyped` tests and converts the part's values."""
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

    return _AnyValue("Untyped", (), {"read": staticmethod(read)})


def type_of_value(levels: int) -> Any:
    """Return the type of any value that nests at most `levels` deep."""

    def read(value: Any) -> Any:
        if isinstance(value, dict | list) and _nests_deeper(value, levels):
            raise ValueError("a value that nests too deeply")
        return value

    return _AnyValue("Value", (), {"read": staticmethod(read)})


def read_untyped(kind: Any, value: Any) -> Any:
    """Return the converted value of an untyped part, or raise ValueError. msgspec calls this after parsing."""
    read: Callable[[Any], Any] = kind.read
    return read(value)


def _nests_deeper(value: Any, levels: int) -> bool:
    """Return whether the arrays and objects of a value nest deeper than `levels`."""
    inner = [value]
    for _ in range(levels):
        parts = (part for whole in inner for part in (whole.values() if isinstance(whole, dict) else whole))
        inner = [part for part in parts if isinstance(part, dict | list)]
        if not inner:
            return False
    return True
