"""Compares a contract with an earlier revision, and finds whom the changes break.

Three groups depend on a contract: producers, whose files must still be accepted; readers of the tables; and Parquet
files that are already in the bucket. A version may accept more than before. To accept less, add a new version.
The tables may change with a new version, whose description gives the reason.
"""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from functions.common.contract import Contract, load_contract
from functions.common.record_types import INT64, merged
from functions.common.schema_merging import ANNOTATIONS, CONDITIONS, INEXACT, types_of
from pipeline.contract.change import NEW_VERSION, NO_VERSION_ALLOWS_IT, PRODUCERS, READERS, STORED, Change
from pipeline.contract.input_changes import input_changes
from pipeline.contract.outcomes import Rows, made_of

_LOWER, _UPPER = (
    ("minimum", "exclusiveMinimum", "minLength", "minItems"),
    ("maximum", "exclusiveMaximum", "maxLength", "maxItems"),
)
_COMPARED = frozenset(
    {"type", "enum", "const", "properties", "required", "items", "additionalProperties", "decimal", "$ref"}
)


@dataclass(frozen=True)
class Diff:
    """All differences between a contract and an earlier revision."""

    changes: tuple[Change, ...]
    why: str
    """The description of the new current version, or an empty string if the current version is the same."""

    @property
    def refused(self) -> list[Change]:
        """The breaking changes that no new version allows."""
        return [one for one in self.changes if one.breaks and (one.is_of_a_version or not self.why)]


def diff(before: Path, after: Path) -> Diff:
    """Return the differences between two folders of a contract. Raises ContractError if a contract is invalid."""
    old, new = load_contract(before.name, before.parent), load_contract(after.name, after.parent)
    was, now = _data(before), _data(after)
    changes = (
        *_versions(old, new),
        *_rules(was, now),
        *_tables(was, now),
        *input_changes(old, new),
        *_rest(was, now),
        *_shared(old, new),
        *_sql(before, after, old, new),
    )
    is_newer = new.current.number > old.current.number
    described = {one["version"]: one["description"] for one in now.get("versions", [])}
    return Diff(changes, described.get(new.current.number, "") if is_newer else "")


def _only(names: Iterable[str], others: Container[str]) -> list[str]:
    """Return the names that are not in `others`, in order."""
    return [name for name in names if name not in others]


def _both(names: Iterable[str], others: Container[str]) -> list[str]:
    """Return the names that are also in `others`, in order."""
    return [name for name in names if name in others]


def _data(folder: Path) -> Any:
    return json.loads((folder / "contract.json").read_text("utf-8"))


# --- what producers may send ------------------------------------------------------------------------------------------


def _versions(old: Contract, new: Contract) -> Iterator[Change]:
    after = {version.number: version for version in new.versions}
    for version in old.versions:
        place = f"v{version.number}.schema.json"
        if version.number not in after:
            yield Change(place, "the version is no longer accepted", (PRODUCERS,), NEW_VERSION)
        else:
            now = after.pop(version.number)
            yield from _narrowed(version.schema, now.schema, (version.schema, now.schema), place)
    for number in after:
        yield Change(f"v{number}.schema.json", "a new version")
    if (old.version_path, old.default_version) != (new.version_path, new.default_version) and old.version_path:
        says = "records name their version in another place, or have another default version"
        yield Change("contract.json: record_version", says, (PRODUCERS,), NEW_VERSION)


def _narrowed(
    old: Any, new: Any, roots: tuple[Any, Any], place: str, seen: frozenset[str] = frozenset()
) -> Iterator[Change]:
    """Yield the differences between two schemas, as they affect producers of the old schema.

    `seen` has the enclosing pairs of schemas, because a schema may contain itself inside JSON.
    """
    pair = json.dumps([old, new])
    if pair in seen:
        return
    seen |= {pair}
    was, now = merged(old, roots[0]), merged(new, roots[1])
    for says, is_narrower in _of_value(was, now):
        yield Change(place, says, (PRODUCERS,), NO_VERSION_ALLOWS_IT) if is_narrower else Change(place, says)
    had, has = was.get("properties", {}), now.get("properties", {})
    for name in _only(had, has):
        yield Change(_at(place, name), "the field is gone", (PRODUCERS,), NO_VERSION_ALLOWS_IT)
    others, taken = was.get("additionalProperties", True), now.get("additionalProperties", True)
    for name in _only(has, had):
        if name not in now.get("required", []):
            yield Change(_at(place, name), "a new, optional field")
        if others is not False:  # the field may have had another value
            yield from _narrowed(others, has[name], roots, _at(place, name), seen)
    for name in sorted(set(now.get("required", [])) - set(was.get("required", []))):
        yield Change(_at(place, name), "the field is now required", (PRODUCERS,), NO_VERSION_ALLOWS_IT)
    for name in sorted(set(was.get("required", [])) - set(now.get("required", []))):
        yield Change(_at(place, name), "the field is now optional: readers may find null")
    for name in _both(had, has):
        yield from _narrowed(had[name], has[name], roots, _at(place, name), seen)
    for before, after in ((others, taken), (was.get("items", True), now.get("items", True))):
        if before is not False and after is not False and (before is not True or after is not True):
            yield from _narrowed(before, after, roots, _at(place, "*"), seen)


def _at(place: str, name: str) -> str:
    return f"{place}/{name}" if "#" in place else f"{place}#/{name}"


def _of_value(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the differences for one value, each with whether it makes the schema narrower."""
    types, taken = _types(was), _types(now)
    if types and types_of(now) is None:
        yield "a value can now be of any type", False
    elif types and types - taken:
        yield f"a value can no longer be {' or '.join(sorted(types - taken))}", True
    if taken - types:
        yield f"a value can now be {' or '.join(sorted(taken - types))}", not types
    yield from _of_enum(was.get("enum"), now.get("enum"))
    for keyword in (*_LOWER, *_UPPER):
        if was.get(keyword) != now.get(keyword):
            before, after = was.get(keyword), now.get(keyword)
            is_looser = after is None or (before is not None and (after < before) is (keyword in _LOWER))
            yield f"{keyword} was {_said(before)} and is now {_said(after)}", not is_looser
    if was.get("decimal") != now.get("decimal"):
        yield f"decimal was {_said(was.get('decimal'))} and is now {_said(now.get('decimal'))}", not _holds(was, now)
    if was.get("additionalProperties", True) != now.get("additionalProperties", True):
        yield "additionalProperties has changed", now.get("additionalProperties") is False
    if now.get("items") is False and was.get("items") is not False:
        yield "no further elements are accepted", True
    if was.get(CONDITIONS) != now.get(CONDITIONS):
        yield "the alternatives or conditions have changed: what they accept can't be compared", CONDITIONS in now
    rest = {*was, *now} - {CONDITIONS, INEXACT} - ANNOTATIONS - _COMPARED - {*_LOWER, *_UPPER, "enum"}
    for keyword in sorted((rest | {"const"}) & {*was, *now}):
        if was.get(keyword) != now.get(keyword):
            yield f"{keyword} has changed: what it accepts can't be compared", keyword in now


def _of_enum(was: list[Any] | None, now: list[Any] | None) -> Iterator[tuple[str, bool]]:
    if was == now:
        return
    if now is None or was is None:
        yield ("any value is now accepted", False) if now is None else ("only some values are now accepted", True)
        return
    gone = [value for value in was if value not in now]
    if gone:
        yield f"{len(gone)} of the accepted values are gone, for example {json.dumps(gone[0])}", True
    if len(now) > len(was) - len(gone):
        yield "more values are accepted: readers may find new values", False


def _types(part: Mapping[str, Any]) -> set[str]:
    given = part.get("type", ["null" if value is None else "string" for value in part.get("enum", [])])
    types = set(given if isinstance(given, list) else [given])
    return types | ({"integer"} if "number" in types else set())


def _holds(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether the decimal type declared in `now` can hold every value of the one declared in `was`."""
    if "decimal" not in now:
        return True
    if "decimal" not in was:
        return False
    (precision, scale), (new_precision, new_scale) = was["decimal"], now["decimal"]
    return bool(new_scale >= scale and new_precision - new_scale >= precision - scale)


def _said(value: Any) -> str:
    return "not set" if value is None else "what 64 bits hold" if value in INT64 else json.dumps(value)


def _rules(was: Any, now: Any) -> Iterator[Change]:
    old, new = ({rule["code"]: rule for rule in data.get("rules", [])} for data in (was, now))
    for code in _only(new, old):
        yield Change(
            f"contract.json: rules.{code}", "a new rule, which may reject what was accepted", (PRODUCERS,), NEW_VERSION
        )
    for code in _only(old, new):
        yield Change(f"contract.json: rules.{code}", "the rule is gone")
    for code in _both(old, new):
        if old[code]["sql"] != new[code]["sql"]:
            says = "the rule has changed, and may reject what was accepted"
            yield Change(f"contract.json: rules.{code}", says, (PRODUCERS,), NEW_VERSION)


# --- what readers and stored files are used to ------------------------------------------------------------------------


def _tables(was: Any, now: Any) -> Iterator[Change]:
    old, new = ({table["name"]: table for table in data["tables"]} for data in (was, now))
    for name in _only(old, new):
        yield Change(f"contract.json: tables.{name}", "the table is gone", (READERS, STORED), NEW_VERSION)
    for name in _only(new, old):
        yield Change(f"contract.json: tables.{name}", "a new table")
    for name in _both(old, new):
        place = f"contract.json: tables.{name}"
        yield from _columns(old[name]["columns"], new[name]["columns"], place)
        for member in ("key", "latest_by", "references"):
            if old[name].get(member, []) != new[name].get(member, []):
                says = "has changed: rows may be merged differently, or refer to nothing"
                yield Change(f"{place}.{member}", says, (READERS,), NEW_VERSION)


def _columns(was: list[Any], now: list[Any], place: str) -> Iterator[Change]:
    old, new = ({column["name"]: column["type"] for column in columns} for columns in (was, now))
    for name in _only(old, new):
        yield Change(f"{place}.{name}", "the column is gone", (READERS,), NEW_VERSION)
    for name in _both(old, new):
        if old[name] != new[name]:
            says = f"was {old[name]}, and is {new[name]}: Athena can't read the older files as that"
            yield Change(f"{place}.{name}", says, (READERS, STORED), NEW_VERSION)
    kept = _both(old, new)
    if _both(new, old) != kept or list(new)[: len(kept)] != kept:
        yield Change(place, "columns are in another order in CSV files than before", (READERS,), NEW_VERSION)
    for name in _only(new, old):
        says = "a new column: null in published files, until pipeline replay --republish"
        yield Change(f"{place}.{name}", says)


def _rest(was: Any, now: Any) -> Iterator[Change]:
    if was["record_table"] != now["record_table"]:
        says = "another table has one row per record: the views *_current are built on it"
        yield Change("contract.json: record_table", says, (READERS,), NEW_VERSION)
    if was.get("control_totals", []) != now.get("control_totals", []):
        yield Change("contract.json: control_totals", "has changed")


def _shared(old: Contract, new: Contract) -> Iterator[Change]:
    """Yield the changes to macros and derived columns, which rules may use."""
    says = "rules that use it may reject accepted records"
    if _macros(old.macros) != _macros(new.macros):
        yield Change("macros.sql", says, (PRODUCERS,), NEW_VERSION)
    was, now = ({one.name: _plain(one.sql) for one in contract.derived} for contract in (old, new))
    for name in _both(was, now):
        if was[name] != now[name]:
            yield Change(f"contract.json: derived.{name}", says, (PRODUCERS,), NEW_VERSION)


@cache
def _macros(sql: str) -> list[Any]:
    """Return a contract's macros as DuckDB parses them, without comments and white space."""
    with closing(duckdb.connect()) as connection:
        connection.execute(sql)
        query = "SELECT function_name, parameters, macro_definition FROM duckdb_functions() WHERE NOT internal"
        return sorted(map(str, connection.execute(query).fetchall()))


def _plain(sql: str) -> str:
    """Return an SQL expression or SELECT without comments and with single spaces."""
    return " ".join(re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL).split())


def _sql(before: Path, after: Path, old: Contract, new: Contract) -> Iterator[Change]:
    """Yield the differences in SQL and their effects on the examples."""
    was, now = ({path.name: _plain(path.read_text("utf-8")) for path in one.glob("*.sql")} for one in (before, after))
    changed = [name for name in was if now.get(name) != was[name]]
    values = list(_values(before, after, old, new)) if changed or _shared_differs(old, new) else []
    yield from values
    for name in _both(changed, now):
        if name != "macros.sql" and not values:
            yield Change(name, "the SQL has changed, but its results for the examples are the same")


def _shared_differs(old: Contract, new: Contract) -> bool:
    return any(True for _ in _shared(old, new)) or [one.sql for one in old.rules] != [one.sql for one in new.rules]


def _values(before: Path, after: Path, old: Contract, new: Contract) -> Iterator[Change]:
    """Yield the tables whose rows for the old examples differ in columns that both contracts have."""
    numbers = {version.number for version in new.versions}
    for version in old.versions:
        examples = version.schema.get("examples", [])
        if version.number not in numbers or not examples:
            continue
        was, now = made_of(examples, before), made_of(examples, after)
        if now.rejected > was.rejected or (now.error and not was.error):
            says = f"an example of version {version.number} that was published is now rejected, or fails"
            yield Change(f"v{version.number}.schema.json", says, (PRODUCERS,), NEW_VERSION)
            continue
        for table in _both(was.tables, now.tables):
            differing = _differing(was.tables[table], now.tables[table])
            if differing:
                says = f"the examples of version {version.number} result in different {', '.join(differing)}"
                yield Change(f"contract.json: tables.{table}", says, (READERS,), NEW_VERSION)


def _differing(was: Rows, now: Rows) -> list[str]:
    """Return the columns of a table whose values differ, or `rows` if the number of rows differs."""
    if len(was) != len(now):
        return ["rows"]
    columns = _both(was[0], now[0]) if was and now else []
    return [name for name in columns if [row[name] for row in was] != [row[name] for row in now]]
