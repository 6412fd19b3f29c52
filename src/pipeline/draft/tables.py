"""Decides the tables of a draft: one per record, one per array, and one per object that repeats under an identifier."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from functions.common.contract import RESERVED_COLUMNS
from functions.common.json_pointer import pointer_of
from pipeline.draft.keys import Key, Path
from pipeline.draft.names import Names, singular, snake, table_name
from pipeline.draft.repeated_objects import GENERIC_IDS, RepeatedObject, repeated_objects
from pipeline.draft.sql import ident, member
from pipeline.draft.types import JSON, LIST, OBJECT, ROWS, SCALAR, Field

_TAKEN = (*RESERVED_COLUMNS, "ingest_date")
_ENOUGH_ARRAYS = 10
"""With fewer arrays of several elements, an identifier may be unique in each by chance."""


@dataclass
class DraftColumn:
    """A column of a table."""

    name: str
    type: str
    sql: str
    """The expression that gives its value, over the table's `source`."""
    pointer: str
    """The place of the value in a record, with `*` for elements of arrays."""
    field: Field | None = None

    @property
    def description(self) -> str:
        return f"From {self.pointer}." if self.pointer else ""


@dataclass
class DraftTable:
    """A table of the draft."""

    name: str
    description: str
    why: str
    key: list[str]
    columns: list[DraftColumn]
    source: str
    """What its SELECT reads: `records`, or a subquery that unnests an array."""
    references: list[tuple[list[str], str]] = field(default_factory=list)
    latest_by: list[str] = field(default_factory=list)
    where: str = ""
    place: str = ""
    """The place of its rows in a record, for a table of an array's elements."""


@dataclass
class DraftPlan:
    """The tables of a draft, and the decisions about them."""

    dataset: str
    record: Field
    key: Key
    record_id: str
    """The derived column that identifies a record without a key. Empty if records have one."""
    tables: list[DraftTable]
    notes: list[str] = field(default_factory=list)
    rules: list[dict[str, str]] = field(default_factory=list)
    """The contract's rules, which keep the keys unique."""

    @property
    def record_table(self) -> DraftTable:
        return self.tables[0]

    @property
    def fields(self) -> int:
        """The number of columns that values of the records become."""
        return sum(1 for table in self.tables for column in table.columns if column.field)


def plan_tables(record: Field, dataset: str, key: Key, *, is_cautious: bool = False) -> DraftPlan:
    """Return the tables for the records of a dataset.

    If `is_cautious`, only arrays get tables of their own, and their keys are numbers of elements.
    """
    return _Planner(record, dataset, key, is_cautious=is_cautious).plan()


class _Planner:
    def __init__(self, record: Field, dataset: str, key: Key, *, is_cautious: bool) -> None:
        self._record = record
        self._dataset = dataset
        self._key = key
        self._is_cautious = is_cautious
        self._tables = Names(fallback="values")
        self._rules: list[dict[str, str]] = []
        self._codes = Names()
        self._notes: list[str] = []

    def plan(self) -> DraftPlan:
        name = table_name(self._tables, [self._dataset], "all")
        for path in self._key.paths:
            _require(self._record, path)
        entities = (
            {}
            if self._is_cautious
            else {id(one.field): one for one in repeated_objects(self._record, self._key, self._notes)}
        )
        for entity in entities.values():
            _require(self._record, entity.latest_by)
        columns = Names(_TAKEN)
        table = DraftTable(name, "One row per record.", self._key.why, [], [], "records")
        record_id = ""
        if not self._key.paths:
            record_id = Names({*_TAKEN, *map(str.lower, self._record.members)}).unique(["record_id"], "the")
            table.columns.append(DraftColumn(columns.unique([record_id], "the"), "VARCHAR", record_id, ""))
            table.key = [record_id]
        plan = DraftPlan(self._dataset, self._record, self._key, record_id, [table], self._notes, self._rules)
        self._add_members(plan, table, columns, self._record, (), "", entities)
        for pointer in map(pointer_of, self._key.paths):
            table.key.append(next(one.name for one in table.columns if one.pointer == pointer))
        for entity in entities.values():
            self._add_entity(plan, table, entity)
        self._add_arrays(plan, table, self._record, (), "", entities)
        return plan

    # --- columns ------------------------------------------------------------------------------------------------------

    def _add_members(
        self,
        plan: DraftPlan,
        table: DraftTable,
        columns: Names,
        holder: Field,
        path: Path,
        sql: str,
        entities: dict[int, RepeatedObject],
        place: str = "",
        prefix: str = "",
    ) -> None:
        """Add the columns of an object's members to a table. Members of entities stay out, except the identifier."""
        prefix = prefix or singular(table.name)
        for name, one in holder.members.items():
            here, expression = (*path, name), member(sql, name)
            pointer = f"{place}{pointer_of(here)}"
            if one.kind in (SCALAR, JSON):
                table.columns.append(DraftColumn(columns.unique(here, prefix), one.type, expression, pointer, one))
            elif one.kind == OBJECT and id(one) in entities:
                entity = entities[id(one)]
                id_name = entity.id_field.name
                chosen = columns.unique(_id_path(name, id_name), prefix)
                id_pointer = f"{pointer}{pointer_of([id_name])}"
                id_sql = member(expression, id_name)
                table.columns.append(DraftColumn(chosen, entity.id_field.type, id_sql, id_pointer, entity.id_field))
            elif one.kind == OBJECT:
                self._add_members(plan, table, columns, one, here, expression, entities, place, prefix)

    # --- objects that repeat ------------------------------------------------------------------------------------------

    def _add_entity(self, plan: DraftPlan, record_table: DraftTable, entity: RepeatedObject) -> None:
        place, id_pointer = pointer_of(entity.path), pointer_of([*entity.path, entity.id_field.name])
        sql = ""
        for name in entity.path:
            sql = member(sql, name)
        columns = Names(_TAKEN)
        name = table_name(self._tables, [_plural(snake(entity.path[-1]) or "value")], self._dataset)
        id_name = entity.id_field.name
        key = columns.unique(_id_path(entity.path[-1], id_name), singular(name))
        table = DraftTable(
            name,
            f"One row per {singular(name)}, with the values of the latest record.",
            f"{place} repeats under {id_name}, with the same values",
            [key],
            [DraftColumn(key, entity.id_field.type, member(sql, id_name), id_pointer, entity.id_field)],
            "records",
            where=f"{member(sql, id_name)} IS NOT NULL",
        )
        rest = Field(entity.field.node, OBJECT, members={k: v for k, v in entity.field.members.items() if k != id_name})
        self._add_members(plan, table, columns, rest, (), sql, {}, place, singular(name))
        time = next(one for one in record_table.columns if one.pointer == pointer_of(entity.latest_by))
        latest = columns.unique([f"last_{time.name}"], singular(name))
        table.columns.append(DraftColumn(latest, time.type, time.sql, time.pointer))
        table.latest_by = [latest]
        plan.tables.append(table)
        own = next(one for one in record_table.columns if one.pointer == id_pointer)
        record_table.references.append(([own.name], name))

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _add_arrays(
        self,
        plan: DraftPlan,
        parent: DraftTable,
        holder: Field,
        path: Path,
        sql: str,
        entities: dict[int, RepeatedObject],
    ) -> None:
        """Add a table for each array in an object, and for the arrays in its elements."""
        for name, one in holder.members.items():
            here, expression = (*path, name), member(sql, name)
            if one.kind == OBJECT:
                self._add_arrays(plan, parent, one, here, expression, entities)
            elif one.kind in (ROWS, LIST) and one.element:
                self._add_array(plan, parent, one, here, expression)

    def _add_array(self, plan: DraftPlan, parent: DraftTable, array: Field, path: Path, sql: str) -> None:
        element = array.element
        assert element
        names = table_name(self._tables, path[-1:], singular(parent.name))
        one = singular(snake(path[-1]) or "value")
        columns = Names(_TAKEN)
        keys, selected = self._parent_key(parent, columns)
        own = self._own_id(array, path, parent, sql)
        number = "" if own else columns.unique([f"{one}_number"], one)
        alias = Names({*(column.name for column in keys), number}).unique([f"{one}"], "one")
        unnested = [f"unnest({sql}) AS {ident(alias)}"]
        unnested += [f"generate_subscripts({sql}, 1) AS {ident(number)}"] if number else []
        why = f"{parent.place}{pointer_of(path)} is {array.why}"
        why += f", whose {own} is unique in each record" if own else ", numbered by their position"
        table = DraftTable(
            names,
            f"One row per element of {parent.place}{pointer_of(path)}.",
            why,
            [*(column.name for column in keys), *([number] if number else [])],
            [*keys, *([DraftColumn(number, "BIGINT", ident(number), "")] if number else [])],
            f"(SELECT {', '.join(['_position', *selected, *unnested])} FROM {parent.source})",
            references=[([column.name for column in keys], parent.name)],
            place=f"{parent.place}{pointer_of(path)}/*",
        )
        plan.tables.append(table)
        place = table.place
        if element.kind in (SCALAR, JSON):
            table.columns.append(DraftColumn(columns.unique([one], "one"), element.type, ident(alias), place, element))
            return
        self._add_members(plan, table, columns, element, (), ident(alias), {}, place, one)
        if own:
            pointer = f"{place}{pointer_of([own])}"
            table.key.append(next(column.name for column in table.columns if column.pointer == pointer))
        self._add_arrays(plan, table, element, (), ident(alias), {})

    def _own_id(self, array: Field, path: Path, parent: DraftTable, sql: str) -> str:
        """Return the member that identifies an element within its record, which a rule then keeps unique, or nothing.

        Elements of arrays in arrays are numbered instead.
        """
        node, element = array.node, array.element
        if self._is_cautious or parent.place or not element or not element.members or node.several < _ENOUGH_ARRAYS:
            return ""
        for name, is_unique in (node.element_ids or {}).items():
            one = element.members.get(name)
            if not is_unique or one is None or one.kind != SCALAR or one.type not in ("VARCHAR", "BIGINT"):
                continue
            if one.node.values < element.node.count or one.breaks or snake(name) not in _element_ids(path[-1]):
                continue
            element.nullable, one.required, one.nullable = False, True, False
            transformed = f"list_transform({sql}, lambda one: {member('one', name)})"
            self._rules.append(
                {
                    "code": f"duplicate_{self._codes.unique([path[-1], name], 'element')}",
                    "pointer": pointer_of(path),
                    "sql": f"{sql} IS NULL OR len(list_distinct({transformed})) = len({sql})",
                    "message": f"must not use the same {name} twice",
                }
            )
            return name
        return ""

    def _parent_key(self, parent: DraftTable, columns: Names) -> tuple[list[DraftColumn], list[str]]:
        """Return a child table's columns for the parent's key, and the SQL that selects them from the parent."""
        keys, selected = [], []
        by_name = {column.name: column for column in parent.columns}
        for name in parent.key:
            own = by_name[name]
            prefix = singular(parent.name)
            chosen = columns.unique([prefix, name] if name in GENERIC_IDS else [name], prefix)
            keys.append(DraftColumn(chosen, own.type, ident(chosen), own.pointer))
            selected.append(own.sql if own.sql == ident(chosen) else f"{own.sql} AS {ident(chosen)}")
        return keys, selected


def _require(record: Field, path: Sequence[str]) -> None:
    """Make a value, and the objects around it, required and not null."""
    for name in path:
        record = record.members[name]
        record.required, record.nullable = True, False


def _element_ids(array: str) -> set[str]:
    """Return the names of the members that identify an element of an array."""
    one = singular(snake(array))
    return {*(f"{name}_{last}" for name in (one, "line", "item") for last in ("id", "number", "no", "uuid", "key"))} | {
        *("id", "uuid", "guid", "key", "uid", "number", "position")
    }


def _id_path(holder: str, id_name: str) -> list[str]:
    """Return the path that names an identifier. It doesn't repeat the holder's name: it's customer_id."""
    return [id_name] if snake(id_name).startswith(f"{snake(holder)}_") else [holder, id_name]


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"
