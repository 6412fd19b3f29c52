"""Decides the key of the records, by uniqueness over the whole sample and by names."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.draft import strings
from pipeline.draft.names import is_id_like, singular, snake
from pipeline.draft.types import NEARLY_ALL, OBJECT, SCALAR, Field

Path = tuple[str, ...]

_KEY_TYPES = ("VARCHAR", "BIGINT")
_EXACT = ("id", "_id", "uuid", "guid", "key")
_LONGEST = 64


@dataclass(frozen=True)
class Key:
    """The key of the records."""

    path: Path
    """The members that lead to it. Empty if no field identifies a record."""
    why: str
    question: str = ""
    repeated: int = 0
    """The number of records with the key of another record."""


def choose_key(record: Field, dataset: str) -> Key:
    """Return the field that identifies a record, or why there is none."""
    n_records = record.node.objects
    found = [(path, field) for path, field in scalars(record) if _is_candidate(field, n_records)]
    ranked = sorted(found, key=lambda one: (_rank(one[0], one[1], dataset), len(one[0])))
    if not ranked:
        ids = [path for path, field in scalars(record) if is_id_like(field.name) and field.type in _KEY_TYPES]
        tried = f": {', '.join('/' + '/'.join(path) for path in ids[:3])} repeat or are missing" if ids else ""
        why = f"no field identifies a record{tried}, so the key is made of each record's position and content"
        return Key((), why, "Which fields identify a record? Without a key, records that are sent again are not found.")
    path, field = ranked[0]
    distinct = field.node.distinct
    assert distinct
    repeated = distinct.repeated
    scope = f"all {distinct.seen:,}" if distinct.seen >= n_records else f"the first {distinct.seen:,}"
    why = f"/{'/'.join(path)} is unique in {scope} records and named like a key"
    if repeated:
        why = f"/{'/'.join(path)} is unique in nearly all records; {repeated:,} have the key of an earlier record"
    return Key(path, why, repeated=repeated)


def scalars(holder: Field, path: Path = ()) -> Iterator[tuple[Path, Field]]:
    """Yield the fields outside of arrays that are one column, with their paths."""
    for name, field in holder.members.items():
        if field.kind == SCALAR:
            yield (*path, name), field
        elif field.kind == OBJECT:
            yield from scalars(field, (*path, name))


def _is_candidate(field: Field, n_records: int) -> bool:
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
    return node.distinct.share >= NEARLY_ALL and snake(field.name) in (*_EXACT,)


def _rank(path: Path, field: Field, dataset: str) -> int:
    name, record = snake(path[-1]), singular(dataset)
    if len(path) == 1 and name in (f"{record}_id", f"{record}_uuid", f"{record}_key", f"{record}_number"):
        return 0
    if len(path) == 1 and path[-1].lower() in _EXACT:
        return 1
    if len(path) == 1 and name.endswith(("_id", "id", "uuid")):
        return 2
    if len(path) == 1:
        return 3
    return 4 if name in ("id", "uid", "uuid") else 5
