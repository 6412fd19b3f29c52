"""Decides which objects repeat in many records under an identifier, such as the customer of orders."""

from collections.abc import Iterator
from dataclasses import dataclass

from functions.common.json_pointer import pointer_of
from pipeline.draft.keys import Key, Path, scalars
from pipeline.draft.names import is_id_like, snake, words_of
from pipeline.draft.types import OBJECT, SCALAR, Field

_REPEATED_SHARE, _STABLE = 0.9, 1.2
_FEW = 2
GENERIC_IDS = frozenset({"id", "uuid", "guid", "key", "uid", "number", "code", "no", "ref", "hash", "sha", "name"})
"""Names of identifiers that don't say what they identify."""

_FRESHNESS = ("updated", "modified", "changed", "occurred", "event", "timestamp", "time", "date", "created", "at")


@dataclass
class RepeatedObject:
    """An object that repeats in many records under an identifier, with the same values."""

    field: Field
    path: Path
    id_field: Field
    latest_by: Path
    """The time in the records that says which values are the newest."""


def repeated_objects(record: Field, key: Key, notes: list[str]) -> Iterator[RepeatedObject]:
    """Yield the objects of records that get a table of their own. The reasons against others are added to `notes`."""
    time, found = _time(record), list[Path]()
    for path, one in _objects(record):
        if any(path[: len(outer)] == outer for outer in found):  # its columns are in the table of the outer one
            continue
        ids = [inner for inner in one.members.values() if _is_entity_id(inner, one)]
        if not ids or sum(inner.kind == SCALAR for inner in one.members.values()) <= _FEW:
            continue
        ids.sort(key=lambda inner: (snake(inner.name) not in _own_ids(one.name), inner.name))
        chosen, whole = ids[0], one.node.whole
        distinct = chosen.node.distinct
        if not distinct or not whole or not distinct.repeated or distinct.share > _REPEATED_SHARE:
            continue
        place = pointer_of(path)
        n_ids, n_objects = distinct.seen - distinct.repeated, whole.seen - whole.repeated
        if n_objects > _STABLE * n_ids or whole.seen < distinct.seen:
            notes.append(
                f"{place} repeats under {chosen.name}, but with other values, so it stays in the record table."
            )
        elif time is None or time[: len(path)] == path:
            notes.append(
                f"{place} repeats under {chosen.name}. It stays in the record table, because no time in the "
                "records says which one is the newest."
            )
        elif all(one[: len(path)] != path for one in key.paths):
            found.append(path)
            yield RepeatedObject(one, path, chosen, time)


def _time(record: Field) -> Path | None:
    """Return the path of a time that every record has, which says which values are the newest."""
    n_records = record.node.objects
    found = [
        path
        for path, one in scalars(record)
        if one.type in ("TIMESTAMP", "DATE") and one.node.count == n_records and not one.node.nulls
    ]

    def rank(path: Path) -> tuple[int, int]:
        words = words_of(path[-1])
        return len(path), next((n for n, word in enumerate(_FRESHNESS) if word in words), len(_FRESHNESS))

    return min(found, key=rank) if found else None


def _objects(holder: Field, path: Path = ()) -> Iterator[tuple[Path, Field]]:
    for name, one in holder.members.items():
        if one.kind == OBJECT:
            yield (*path, name), one
            yield from _objects(one, (*path, name))


def _is_entity_id(one: Field, holder: Field) -> bool:
    is_plain = one.kind == SCALAR and one.type in ("VARCHAR", "BIGINT") and not one.breaks
    return is_plain and is_id_like(one.name) and one.node.values > 0 and snake(one.name) in _own_ids(holder.name)


def _own_ids(name: str) -> set[str]:
    own = snake(name)
    return {*GENERIC_IDS - {"name", "number", "code", "no"}, f"{own}_id", f"{own}_uuid", f"{own}_key", f"{own}_number"}
