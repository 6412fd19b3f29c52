"""How deep a record nests: a question that costs nothing for nearly all of them."""

from typing import Any


def nests_deeper(record: object, data: bytes, max_nesting: int) -> bool:
    """Whether the arrays and objects of `record`, which was parsed from `data`, nest more than `max_nesting` deep.

    There are no more levels than opening brackets. Where these are too many, the levels are walked through one
    by one, without recursion.
    """
    if data.count(b"[") + data.count(b"{") <= max_nesting:
        return False
    level = [record] if isinstance(record, dict | list) else []
    for _ in range(max_nesting):
        level = [part for whole in level for part in _parts(whole) if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _parts(whole: Any) -> Any:
    return whole.values() if isinstance(whole, dict) else whole
