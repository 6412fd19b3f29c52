"""The advice of `contract check` about a column whose type differs from that of its SQL."""

import json
from pathlib import Path

import pytest

from functions.common.contract import load_contract
from pipeline.contract.check import check
from tests.unit.steps import publish
from tests.unit.test_unfit_records import NUMBER, STRING, contract_of, lines


@pytest.mark.parametrize(
    ("schema", "declared", "value"),
    [(NUMBER, "INTEGER", 1.5), ({"type": "number", "decimal": [9, 4]}, "DECIMAL(9,2)", 1.005), (STRING, "DATE", "x")],
    ids=["whole number", "fewer decimals", "date"],
)
def test_the_first_advice_about_a_type_keeps_every_value(
    schema: dict[str, object], declared: str, value: object, tmp_path: Path
) -> None:
    contract_of(tmp_path, {"v": schema}, {"v": declared})
    folder = tmp_path / "contracts" / "d"
    text = (folder / "v1.schema.json").read_text("utf-8").replace('{"id": "a"}', json.dumps({"id": "a", "v": value}))
    (folder / "v1.schema.json").write_text(text, "utf-8")
    load_contract.cache_clear()
    (fault,) = check(folder)
    advised = fault.advice.removeprefix("Declare ").partition(", or")[0]
    path = folder / "contract.json"
    path.write_text(path.read_text("utf-8").replace(declared, advised), "utf-8")
    load_contract.cache_clear()
    assert check(folder) == []
    result = publish(lines({"v": value}), tmp_path, contract=load_contract("d", folder.parent))
    assert [str(row["v"]).rstrip("0") for row in result.rows("t")] == [str(value)]
