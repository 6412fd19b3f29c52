"""Decides the key of the records, by uniqueness over the whole sample and by names."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.draft import strings
from pipeline.draft.names import is_id_like, singular, snake
from pipeline.draft.profile import Distinct
from pipeline.draft.types import NEARLY_ALL, OBJECT, SCALAR, Field

Path = tuple[str, ...]

_KEY_TYPES = ("VARCHAR", "BIGINT")
_EXACT = ("id", "uuid", "guid", "key")
_LONGEST = 64
_MOST_TIMES, _MOST_THINGS, _MOST_PAIRS = 2, 4, 1_000_000
_ENOUGH = 20
"""In fewer records, two fields may be unique together by chance."""


@dataclass(frozen=True)
class Key:
    """The key of the records."""

    paths: tuple[Path, ...]
    """The members that lead to each of its fields. Empty if no fields identify a record."""
    why: str
    question: str = ""
    repeated: int = 0
    """The number of records with the key of another record."""


def choose_key(record: Field, dataset: str) -> Key:
    """Return the field that identifies a record, or why there is none."""
    n_records = record.node.objects
    found = [(path, field) for path, field in scalars(record) if _is_candidate(field, n_records, dataset)]
    ranked = sorted(found, key=lambda one: (_rank(one[0], one[1], dataset), len(one[0])))
    if not ranked:
        ids = [path for path, field in scalars(record) if is_id_like(field.name) and field.type in _KEY_TYPES]
        shown = ", ".join("/" + "/".join(path) for path in ids[:3])
        tried = f": values of {shown} repeat or are missing" if ids else ""
        why = f"no field identifies a record{tried}, so the key is made of each record's position and content"
        question = "Which fields identify a record? Without a key, a record that is sent again is published again."
        return Key((), why, question)
    path, field = ranked[0]
    distinct = field.node.distinct
    assert distinct
    repeated = distinct.repeated
    scope = f"all {distinct.seen:,}" if distinct.seen >= field.node.values else f"the first {distinct.seen:,}"
    why = f"/{'/'.join(path)} is unique in {scope} records and named like a key"
    if repeated:
        why = f"/{'/'.join(path)} is unique in nearly all records; {repeated:,} have the key of an earlier record"
    return Key((path,), why, repeated=repeated)


def possible_pairs(record: Field) -> list[tuple[Path, Path]]:
    """Return pairs of fields that may identify a record together: a repeated name or id, and a time."""
    n_records = record.node.objects
    always = [(path, one) for path, one in scalars(record) if one.node.values == n_records and not one.breaks]
    times = [path for path, one in always if _is_time(one)]
    things = [(path, one) for path, one in always if one.type in _KEY_TYPES and not _is_time(one) and _repeats(one)]
    things.sort(key=lambda one: (not is_id_like(one[1].name), len(one[0])))
    return [(path, time) for time in times[:_MOST_TIMES] for path, _ in things[:_MOST_THINGS]]


def unique_pair(pairs: Sequence[tuple[Path, Path]], batches: Iterable[Sequence[Any]]) -> Key | None:
    """Return the first pair of fields that no two records share. None if there is none, or too few records."""
    counts = {pair: Distinct(_MOST_PAIRS) for pair in pairs}
    for records in batches:
        objects = [one for one in records if type(one) is dict]
        for pair, distinct in [*counts.items()]:
            distinct.add([*zip(*([_at(record, path) for record in objects] for path in pair), strict=True)])
            if distinct.repeated:
                del counts[pair]
        if not counts:
            return None
    for pair, distinct in counts.items():
        if distinct.seen >= _ENOUGH:
            names = " and ".join(f"/{'/'.join(path)}" for path in pair)
            return Key(pair, f"{names} are unique together in {distinct.seen:,} records")
    return None


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value.get(name) if type(value) is dict else None
    return value


def _is_time(one: Field) -> bool:
    if one.type in ("TIMESTAMP", "DATE"):
        return True
    return one.type == "VARCHAR" and one.node.strings.share_of(strings.LOCAL_TIME) == 1


def _repeats(one: Field) -> bool:
    distinct = one.node.distinct
    return distinct is not None and distinct.repeated > 0 and one.node.strings.longest <= _LONGEST


def scalars(holder: Field, path: Path = ()) -> Iterator[tuple[Path, Field]]:
    """Yield the fields outside of arrays that are one column, with their paths."""
    for name, field in holder.members.items():
        if field.kind == SCALAR:
            yield (*path, name), field
        elif field.kind == OBJECT:
            yield from scalars(field, (*path, name))


def _is_candidate(field: Field, n_records: int, dataset: str) -> bool:
    node = field.node
    if field.type not in _KEY_TYPES or node.distinct is None or "enum" in field.schema:
        return False
    if node.strings.longest > _LONGEST * 4 or node.strings.by_class[strings.EMPTY]:
        return False
    n_good = node.values - field.breaks
    is_uuid = node.strings.share_of(strings.UUID) >= NEARLY_ALL
    if n_good < n_records and n_good < NEARLY_ALL * n_records:
        return False
    if not is_id_like(field.name) and not is_uuid:
        return False
    if not node.distinct.repeated:
        return node.distinct.seen > 0
    return node.distinct.share >= NEARLY_ALL and snake(field.name) in _names_of(dataset)


def _names_of(dataset: str) -> set[str]:
    """Return the names of the fields that identify a record of a dataset by their name alone."""
    record = singular(dataset)
    return {*_EXACT, f"{record}_id", f"{record}_uuid", f"{record}_key", f"{record}_number"}


def _rank(path: Path, field: Field, dataset: str) -> int:
    name = snake(path[-1])
    if len(path) == 1 and name in _names_of(dataset):
        return 0 if name not in _EXACT else 1
    if len(path) == 1 and name.endswith(("_id", "id", "uuid")):
        return 2
    if len(path) == 1:
        return 3
    return 4 if name in ("id", "uid", "uuid") else 5
