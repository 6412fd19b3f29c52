"""`pipeline contract diff`: what a change of a contract means to producers, to readers and to stored Parquet."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.common.contract import load_contract
from functions.common.input_settings import InputSettings
from pipeline import ROOT, cli
from pipeline.contract import commands as contract_commands
from pipeline.contract import revisions
from pipeline.contract.change import PRODUCERS, READERS, STORED
from pipeline.contract.diff import diff

EXTRA = {"name": "is_new", "type": "BOOLEAN"}
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
    # file, change, message, what it breaks
    (SCHEMA, lambda s: s["properties"].pop("status"), "the field is gone", (PRODUCERS,)),
    (SCHEMA, lambda s: s["properties"].update(note={"type": "string"}), "a new, optional field", ()),
    (SCHEMA, lambda s: of("$defs", "customer")(s)["required"].append("email"), "field is now required", (PRODUCERS,)),
    (SCHEMA, lambda s: s["required"].remove("status"), "the field is now optional", ()),
    (SCHEMA, lambda s: status(s)["enum"].remove("paid"), "are gone", (PRODUCERS,)),
    (SCHEMA, lambda s: status(s)["enum"].append("lost"), "more values are accepted", ()),
    (SCHEMA, lambda s: status(s).pop("enum") and status(s).update(type="string"), "any value", ()),
    (SCHEMA, lambda s: number(s).update(maximum=10), "maximum was 1000000 and is now 10", (PRODUCERS,)),
    (SCHEMA, lambda s: number(s).update(maximum=10**7), "maximum was", ()),
    (SCHEMA, lambda s: number(s).update(minimum=2), "minimum was 1 and is now 2", (PRODUCERS,)),
    (SCHEMA, lambda s: number(s).pop("minimum"), "minimum was 1 and is now what 64 bits hold", ()),
    (SCHEMA, lambda s: product(s).update(maxLength=5), "maxLength was not set", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[16, 2]), "decimal was [16, 4] and is now [16, 2]", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[15, 4]), "decimal was", (PRODUCERS,)),
    (SCHEMA, lambda s: money(s).update(decimal=[18, 4]), "decimal was", ()),
    (SCHEMA, lambda s: of("$defs", "name")(s).update(type=["string", "null"]), "a value can now be null", ()),
    (SCHEMA, lambda s: of("$defs", "nullable_text")(s).update(type="string"), "can no longer be null", (PRODUCERS,)),
    (SCHEMA, lambda s: of("$defs", "text")(s).update(pattern="^x$"), "pattern has changed", (PRODUCERS,)),
    (SCHEMA, lambda s: of("$defs", "text")(s).pop("pattern"), "pattern has changed", ()),
    (SCHEMA, lambda s: of("$defs", "address")(s).update(additionalProperties=True), "additionalProperties has", ()),
    (SCHEMA, lambda s: s.update(title="Another", description="Another"), "", ()),
    (CONTRACT, lambda c: c.update(envelope="records"), "another name", (PRODUCERS,)),
    (CONTRACT, lambda c: c.update(input={"unknown_fields": "keep"}), "a new column _extra: null in", ()),
    (CONTRACT, lambda c: c.update(input={"unknown_fields": "drop"}), "left to the deployment, and is drop", ()),
    (CONTRACT, lambda c: c.update(input={"format": "json"}), "a file without a known suffix is read now", ()),
    (CONTRACT, lambda c: c.update(input={"ignore": ["x*"]}), "match x* are no longer read", (PRODUCERS,)),
    (CONTRACT, lambda c: c.update(input={"max_reject_ratio": 0.01}), "left to the deployment, and is 0.01", ()),
    (CONTRACT, lambda c: c["rules"].pop(), "the rule is gone", ()),
    (CONTRACT, lambda c: c["rules"].append({**c["rules"][0], "code": "new"}), "a new rule", (PRODUCERS,)),
    (CONTRACT, lambda c: c["rules"][0].update(sql="true"), "the rule has changed", (PRODUCERS,)),
    (CONTRACT, lambda c: c["rules"][0].update(message="else"), "", ()),
    (CONTRACT, lambda c: orders(c)["columns"].pop(2), "the column is gone", (READERS,)),
    (
        CONTRACT,
        lambda c: orders(c)["columns"][2].update(type="INTEGER"),
        "was VARCHAR, and is INTEGER",
        (READERS, STORED),
    ),
    (CONTRACT, lambda c: orders(c)["columns"].append({"name": "x", "type": "DATE"}), "a new column: null in", ()),
    (CONTRACT, lambda c: orders(c)["columns"].insert(1, {"name": "x", "type": "DATE"}), "in another order", (READERS,)),
    (CONTRACT, lambda c: c["tables"][2].update(key=["order_id", "product_id"]), "merged differently", (READERS,)),
    (CONTRACT, lambda c: c["tables"][1].pop("latest_by"), "merged differently", (READERS,)),
    (CONTRACT, lambda c: c["control_totals"].pop(), "has changed", ()),
    (CONTRACT, lambda c: c["derived"][1].update(sql="items_total(items) + 0"), "rules that use it", (PRODUCERS,)),
]  # fmt: skip


@pytest.mark.parametrize(("file", "how", "says", "breaks"), CHANGES, ids=[str(n) for n in range(len(CHANGES))])
def test_a_change_is_reported_with_whom_it_breaks(
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


INPUTS: list[tuple[dict[str, Any], dict[str, Any], str, tuple[str, ...]]] = [
    # before, after, message, what it breaks
    ({"records": "/a"}, {"records": "/a/b"}, "the array of records has another name or place", (PRODUCERS,)),
    ({"records": "/a"}, {}, "the array of records has another name or place", (PRODUCERS,)),
    ({}, {"records": "/a"}, "records may be in an envelope now", ()),
    ({"format": "json"}, {}, "a file without a known suffix fails now", (PRODUCERS,)),
    ({"format": "json"}, {"format": "jsonl"}, "was json, and is jsonl: decides only if", ()),
    ({"ignore": ["x*", "y*"]}, {"ignore": ["x*"]}, "files that match y* are read now; to process those that", ()),
    ({"ignore": ["x*"]}, {"ignore": ["x*", "y*"]}, "files that match y* are no longer read", (PRODUCERS,)),
    ({"max_reject_ratio": 0.1}, {"max_reject_ratio": 0.05}, "was 0.1, and is 0.05: a file with", (PRODUCERS,)),
    ({"max_reject_ratio": 0.1}, {"max_reject_ratio": 0.2}, "was 0.1, and is 0.2", ()),
    ({"max_reject_ratio": 0.1}, {}, "was 0.1, and is left to the deployment", ()),
    ({"unknown_fields": "drop"}, {"unknown_fields": "reject"}, "is rejected now", (PRODUCERS,)),
]


NODE = {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}}
"""A map of maps, without end."""

INSIDE_JSON: list[tuple[Any, Any, str]] = [
    # a field that becomes JSON, the same field later, the only breaking change
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": {"type": "integer", "maximum": 5}},
        "#/note/*: maximum was",
    ),
    (
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}},
        {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}, "maxProperties": 5},
        "#/note: maxProperties has changed",
    ),
    (
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        "#/note/*: a value can now be",
    ),
    (
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": True, "properties": {"x": {"type": "string"}}},
        "#/note/x: a value can now be",
    ),
    ({"type": "array"}, {"type": "array", "items": {"type": "string"}}, "#/note/*: a value can now be"),
    (
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
        "#/note: no further elements",
    ),
    ({"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object"}, ""),
    ({"type": "array", "items": {}}, {"type": "array"}, ""),
]


@pytest.mark.parametrize(("before", "later", "says"), INSIDE_JSON)
def test_a_change_inside_a_value_that_becomes_json(
    before: Any, later: Any, says: str, after: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(BEFORE, tmp_path / "before" / "orders"))
    for folder, note in ((old, before), (after, later)):
        change(folder / SCHEMA, lambda s, note=note: (s["$defs"].update(node=NODE), s["properties"].update(note=note)))
    found = [f"{one.place}: {one.says}" for one in diff(old, after).changes if one.breaks]
    assert len(found) == bool(says)
    assert all(says in one for one in found)


def test_a_definition_that_narrows_inside_json_breaks_producers(after: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(BEFORE, tmp_path / "before" / "orders"))
    note = {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}}
    for folder, node in ((old, NODE), (after, {**NODE, "maxProperties": 2})):
        change(folder / SCHEMA, lambda s, node=node: (s["$defs"].update(node=node), s["properties"].update(note=note)))
    (found,) = [one for one in diff(old, after).changes if one.breaks]
    assert (found.place, found.says[:13]) == (f"{SCHEMA}#/note/*", "maxProperties")


@pytest.mark.parametrize(("before", "changed", "says", "breaks"), INPUTS)
def test_a_change_of_the_input_settings(
    before: dict[str, Any], changed: dict[str, Any], says: str, breaks: tuple[str, ...], after: Path, tmp_path: Path
) -> None:
    earlier = Path(shutil.copytree(BEFORE, tmp_path / "before" / "orders"))
    for folder, given in ((earlier, before), (after, changed)):
        change(folder / CONTRACT, lambda c, given=given: (c.pop("envelope"), c.update(input=given)))
    assert [one.breaks for one in diff(earlier, after).changes if says in one.says] == [breaks]


def test_every_input_setting_is_compared() -> None:
    assert {name for case in INPUTS for name in {**case[0], **case[1]}} == set(InputSettings.__dataclass_fields__)


def test_unknown_fields_that_are_kept_no_longer_break_readers(after: Path, tmp_path: Path) -> None:
    change(after / CONTRACT, lambda c: c.update(input={"unknown_fields": "keep"}))
    without = Path(shutil.copytree(after, tmp_path / "without" / "orders"))
    change(without / CONTRACT, lambda c: c.update(input={"unknown_fields": "reject"}))
    breaking = {(one.place, one.breaks) for one in diff(after, without).changes if one.breaks}
    assert breaking == {
        ("contract.json: tables.orders._extra", (READERS,)),
        ("contract.json: input.unknown_fields", (PRODUCERS,)),
    }


def test_null_in_another_form_is_the_same_to_producers(after: Path) -> None:
    text = of("$defs", "nullable_text")
    change(
        after / SCHEMA,
        lambda s: s["$defs"].update(nullable_text={"anyOf": [dict(text(s), type="string"), {"type": "null"}]}),
    )
    assert [one for one in diff(BEFORE, after).changes if one.breaks] == []


def test_a_removed_table_breaks_readers_and_stored_data(after: Path) -> None:
    def drop(data: Any) -> None:
        data["tables"] = [one for one in data["tables"] if one["name"] != "items"]
        data["control_totals"] = data["control_totals"][:1]

    change(after / "contract.json", drop)
    (gone,) = [one for one in diff(BEFORE, after).changes if one.breaks]
    assert gone.breaks == (READERS, STORED)


def test_a_new_version_may_change_tables_and_rules_with_a_reason(after: Path) -> None:
    add_version(after)
    change(after / "contract.json", lambda data: data["rules"][0].update(sql="true"))
    change(after / "contract.json", lambda data: orders(data)["columns"].pop(2))
    found = diff(BEFORE, after)
    assert {party for one in found.changes for party in one.breaks} == {PRODUCERS, READERS}
    assert (found.why, found.refused) == ("Because.", [])


def test_a_new_version_does_not_allow_an_old_one_to_accept_less(after: Path) -> None:
    add_version(after)
    change(after / SCHEMA, lambda data: data["properties"].pop("status"))
    (refused,) = diff(BEFORE, after).refused
    assert refused.place == "v2.schema.json#/status"
    assert refused.needs == "Restore this version, and make the change in a new version."


def test_a_version_may_be_removed_only_with_a_new_one(after: Path) -> None:
    def drop(data: Any) -> None:
        data["versions"] = [one for one in data["versions"] if one["version"] != 1]

    change(after / "contract.json", drop)
    assert [one.says for one in diff(BEFORE, after).refused] == ["the version is no longer accepted"]
    load_contract.cache_clear()
    add_version(after)
    assert diff(BEFORE, after).refused == []


SQL: list[tuple[str, str, str, str, tuple[str, ...]]] = [
    # file, old text, new text, message, what it breaks
    ("orders.sql", "FROM records", "FROM records WHERE true", "for the examples are the same", ()),
    ("orders.sql", "FROM records", "FROM records -- all of them", "", ()),
    ("orders.sql", "    tax_amount,", "    tax_amount + 1 AS tax_amount,", "in different tax_amount", (READERS,)),
    ("customers.sql", "customer.name AS", "upper(customer.name) AS", "result in different name", (READERS,)),
    ("items.sql", "FROM records)", "FROM records) WHERE item.quantity > 10", "is now rejected, or fails", (PRODUCERS,)),
    ("v1_to_v2.sql", "0 AS tax_amount", "0 * 1 AS tax_amount", "for the examples are the same", ()),
    ("v1_to_v2.sql", "0 AS tax_amount", "5 AS tax_amount", "that was published is now rejected", (PRODUCERS,)),
    ("macros.sql", " * (1 - item.discount)", "", "rules that use it may reject", (PRODUCERS,)),
    ("macros.sql", "-- Rounds half up", "-- Rounded half up", "", ()),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "says", "breaks"), SQL, ids=[f"{one[0]}-{one[3]}" for one in SQL])
def test_a_change_of_sql_is_described_by_its_effect_on_the_examples(
    after: Path, file: str, old: str, new: str, says: str, breaks: tuple[str, ...]
) -> None:
    path = after / file
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    found = diff(BEFORE, after).changes
    assert {party for one in found for party in one.breaks} == set(breaks), found
    assert any(says in one.says for one in found) if says else found == ()


# --- the gate of `make check` -----------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only revision has the contract of orders; it replaces the project's."""
    root = tmp_path / "repository"
    shutil.copytree(BEFORE, root / "contracts" / "orders")
    for arguments in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        git(root, *arguments)
    for module in (revisions, contract_commands):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(contract_commands, "_SHIPPED", (root / "contracts",))
    monkeypatch.setattr(contract_commands, "contracts_folder", lambda: root / "contracts")
    return root


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def gate(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """The exit status of `pipeline contract check`."""
    load_contract.cache_clear()
    monkeypatch.setattr(sys, "argv", ["pipeline", "contract", "check", *options])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_the_gate_accepts_safe_changes_and_refuses_breaking_ones(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(monkeypatch) == 0
    assert "no earlier revision" in capsys.readouterr().err
    assert gate(monkeypatch, "--since", "HEAD") == 0
    change(repository / "contracts" / "orders" / CONTRACT, lambda data: orders(data)["columns"].append(EXTRA))
    path = repository / "contracts" / "orders" / "orders.sql"
    path.write_text(path.read_text().replace("SELECT", "SELECT\n    true AS is_new,"))
    assert gate(monkeypatch, "--since", "HEAD") == 0
    assert "is_new: a new column" in capsys.readouterr().out
    change(repository / "contracts" / "orders" / CONTRACT, lambda data: orders(data)["columns"].pop(2))
    path.write_text(path.read_text().replace("    status,\n", ""))
    assert gate(monkeypatch, "--since", "HEAD") == 1
    printed = capsys.readouterr()
    assert "tables.orders.status: the column is gone (readers of the tables)" in printed.out
    assert "One change breaks users of the contracts." in printed.err


def test_on_a_branch_the_gate_compares_with_the_merge_base(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(repository, "checkout", "--quiet", "-b", "branch")
    change(repository / "contracts" / "orders" / CONTRACT, lambda data: data.update(envelope="records"))
    git(repository, "commit", "--quiet", "-am", "broken")
    (repository / "else").write_text("")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "and on")
    assert gate(monkeypatch) == 1
    assert "the array of records has another name or place" in capsys.readouterr().out


def test_a_dataset_may_be_deleted_only_after_it_was_retired(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(repository / "contracts" / "orders", repository / "kept")
    shutil.rmtree(repository / "contracts" / "orders")
    assert gate(monkeypatch, "--since", "HEAD") == 1
    assert "contracts/orders: the dataset is gone" in capsys.readouterr().out
    shutil.copytree(repository / "kept", repository / "contracts" / "orders")
    change(repository / "contracts" / "orders" / CONTRACT, lambda data: data.update(retired="The shop is closed."))
    git(repository, "commit", "--quiet", "-am", "retired")
    shutil.rmtree(repository / "contracts" / "orders")
    assert gate(monkeypatch, "--since", "HEAD") == 0
    assert "the dataset is gone: The shop is closed." in capsys.readouterr().out


def test_the_exit_status_of_diff_depends_on_the_changes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(BEFORE, tmp_path / "another name"))
    monkeypatch.setattr(sys, "argv", ["pipeline", "contract", "diff", "HEAD:contracts/orders", str(copy)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert (left.value.code or 0, capsys.readouterr().out) == (0, "The contracts have no differences.\n")
    change(copy / CONTRACT, lambda data: data.update(envelope="records"))
    load_contract.cache_clear()
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    for place in ("HEAD:../x", f"HEAD:{tmp_path}", "nothing"):
        monkeypatch.setattr(sys, "argv", ["pipeline", "contract", "diff", place, str(copy)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2
        assert "error: " in capsys.readouterr().err
