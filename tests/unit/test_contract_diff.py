"""`pipeline contract diff`: what a change of a contract means to producers, to readers and to stored Parquet."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.common.contract import load_contract
from pipeline import ROOT
from pipeline.contracts.diff import PRODUCERS, READERS, STORED, diff

BEFORE = ROOT / "contracts" / "orders"
SCHEMA, CONTRACT = "v2.schema.json", "contract.json"


@pytest.fixture
def after(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BEFORE, tmp_path / "after" / "orders"))


def change(path: Path, how: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text("utf-8"))
    how(data)
    path.write_text(json.dumps(data, indent=2), "utf-8")


def add_version(folder: Path) -> None:
    """Give the contract a version 3, like version 2."""
    schema = (
        (folder / SCHEMA).read_text("utf-8").replace('"const": 2', '"const": 3').replace('_version": 2', '_version": 3')
    )
    (folder / "v3.schema.json").write_text(schema, "utf-8")
    (folder / "v2_to_v3.sql").write_text("SELECT * REPLACE (3 AS schema_version) FROM records")

    def raise_version(data: Any) -> None:
        data["current_version"] = 3
        data["versions"].append({"version": 3, "description": "Because."})

    change(folder / "contract.json", raise_version)


def test_a_contract_does_not_differ_from_itself(after: Path) -> None:
    assert diff(BEFORE, after).changes == ()


def of(*path: str) -> Callable[[Any], Any]:
    def part(data: Any) -> Any:
        for step in path:
            data = data[int(step) if isinstance(data, list) else step]
        return data

    return part


money, status, orders = of("$defs", "money"), of("properties", "status"), of("tables", "0")
number, product = (of("$defs", "item", "properties", name) for name in ("line_number", "product_name"))

CHANGES: list[tuple[str, Callable[[Any], object], str, tuple[str, ...]]] = [
    # file, the change, what is said of it, whom it breaks
    (SCHEMA, lambda s: s["properties"].pop("status"), "the field is gone", (PRODUCERS,)),
    (SCHEMA, lambda s: s["properties"].update(note={"type": "string"}), "a new field, which may be left out", ()),
    (SCHEMA, lambda s: of("$defs", "customer")(s)["required"].append("email"), "must be there now", (PRODUCERS,)),
    (SCHEMA, lambda s: s["required"].remove("status"), "may be left out now", ()),
    (SCHEMA, lambda s: status(s)["enum"].remove("paid"), "are gone", (PRODUCERS,)),
    (SCHEMA, lambda s: status(s)["enum"].append("lost"), "more values may stand there", ()),
    (SCHEMA, lambda s: status(s).pop("enum") and status(s).update(type="string"), "any value", ()),
    (SCHEMA, lambda s: number(s).update(maximum=10), "maximum was 1000000, and is 10", (PRODUCERS,)),
    (SCHEMA, lambda s: number(s).update(maximum=10**7), "maximum was", ()),
    (SCHEMA, lambda s: number(s).update(minimum=2), "minimum was 1, and is 2", (PRODUCERS,)),
    (SCHEMA, lambda s: number(s).pop("minimum"), "minimum was 1, and is not said", ()),
    (SCHEMA, lambda s: product(s).update(maxLength=5), "maxLength was not said", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[16, 2]), "decimal was [16, 4], and is [16, 2]", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[15, 4]), "decimal was", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[18, 4]), "decimal was", ()),
    (SCHEMA, lambda s: of("$defs", "name")(s).update(type=["string", "null"]), "a value may be null now", ()),
    (SCHEMA, lambda s: of("$defs", "nullable_text")(s).update(type="string"), "may not be null any more", (PRODUCERS,)),
    (SCHEMA, lambda s: of("$defs", "text")(s).update(pattern="^x$"), "pattern is another", (PRODUCERS,)),
    (SCHEMA, lambda s: of("$defs", "text")(s).pop("pattern"), "pattern is another", ()),
    (SCHEMA, lambda s: of("$defs", "address")(s).update(additionalProperties=True), "additionalProperties is", ()),
    (SCHEMA, lambda s: s.update(title="Another", description="Another"), "", ()),
    (CONTRACT, lambda c: c.update(envelope="records"), "another name", (PRODUCERS,)),
    (CONTRACT, lambda c: c["rules"].pop(), "the rule is gone", ()),
    (CONTRACT, lambda c: c["rules"].append({**c["rules"][0], "code": "new"}), "a new rule", (PRODUCERS,)),
    (CONTRACT, lambda c: c["rules"][0].update(sql="true"), "the rule is another", (PRODUCERS,)),
    (CONTRACT, lambda c: c["rules"][0].update(message="else"), "", ()),
    (CONTRACT, lambda c: orders(c)["columns"].pop(2), "the column is gone", (READERS,)),
    (
        CONTRACT,
        lambda c: orders(c)["columns"][2].update(type="INTEGER"),
        "was VARCHAR, and is INTEGER",
        (READERS, STORED),
    ),
    (CONTRACT, lambda c: orders(c)["columns"].append({"name": "x", "type": "DATE"}), "a new column: null in", ()),
    (CONTRACT, lambda c: orders(c)["columns"].insert(1, {"name": "x", "type": "DATE"}), "stand elsewhere", (READERS,)),
    (CONTRACT, lambda c: c["tables"][2].update(key=["order_id", "product_id"]), "merged otherwise", (READERS,)),
    (CONTRACT, lambda c: c["tables"][1].pop("latest_by"), "merged otherwise", (READERS,)),
    (CONTRACT, lambda c: c["control_totals"].pop(), "is another", ()),
]  # fmt: skip


@pytest.mark.parametrize(("file", "how", "says", "breaks"), CHANGES, ids=[str(n) for n in range(len(CHANGES))])
def test_a_change_says_whom_it_breaks(
    after: Path, file: str, how: Callable[[Any], object], says: str, breaks: tuple[str, ...]
) -> None:
    change(after / file, how)
    found = diff(BEFORE, after)
    broken = {party for one in found.changes for party in one.breaks}
    assert broken == set(breaks), found.changes
    assert bool(found.refused) is bool(breaks)
    if says:
        assert any(says in one.says for one in found.changes), found.changes
    elif not breaks:
        assert found.changes == ()


def test_a_table_that_is_gone_breaks_readers_and_what_is_stored(after: Path) -> None:
    def drop(data: Any) -> None:
        data["tables"] = [one for one in data["tables"] if one["name"] != "items"]
        data["control_totals"] = data["control_totals"][:1]

    change(after / "contract.json", drop)
    (gone,) = [one for one in diff(BEFORE, after).changes if one.breaks]
    assert gone.breaks == (READERS, STORED)


def test_a_new_version_may_change_tables_and_rules_and_says_why(after: Path) -> None:
    add_version(after)
    change(after / "contract.json", lambda data: data["rules"][0].update(sql="true"))
    change(after / "contract.json", lambda data: orders(data)["columns"].pop(2))
    found = diff(BEFORE, after)
    assert {party for one in found.changes for party in one.breaks} == {PRODUCERS, READERS}
    assert (found.why, found.refused) == ("Because.", [])


def test_no_new_version_lets_an_old_one_take_less(after: Path) -> None:
    add_version(after)
    change(after / SCHEMA, lambda data: data["properties"].pop("status"))
    (refused,) = diff(BEFORE, after).refused
    assert refused.place == "v2.schema.json#/status"
    assert refused.needs == "Leave this version as it was, and make the change in a new one."


def test_a_version_goes_only_where_another_comes(after: Path) -> None:
    def drop(data: Any) -> None:
        data["versions"] = [one for one in data["versions"] if one["version"] != 1]

    change(after / "contract.json", drop)
    assert [one.says for one in diff(BEFORE, after).refused] == ["the version is not taken any more"]
    load_contract.cache_clear()
    add_version(after)
    assert diff(BEFORE, after).refused == []


def test_other_sql_is_told(after: Path) -> None:
    path = after / "orders.sql"
    path.write_text(path.read_text() + " WHERE true")
    assert [(one.place, one.breaks) for one in diff(BEFORE, after).changes] == [("orders.sql", ())]
