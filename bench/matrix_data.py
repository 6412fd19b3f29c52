"""The datasets of the matrix: contracts and files with the shapes that common producers send.

Each is made from the generator's orders, so that values are realistic.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.inputs import make_input
from bench.process import ROOT

_ORDERS = ROOT / "contracts" / "orders"
_FOLDER = ROOT / "build" / "data" / "matrix"

Record = dict[str, Any]
REFERENCE = "reference"


@dataclass(frozen=True)
class Shape:
    """One kind of file, with the contract that describes it."""

    name: str
    says: str
    make_contract: Callable[[Path], None]
    """Changes the files in a copy of the folder of the orders' contract, which is called `orders`."""
    convert: Callable[[int, Record], Record]
    """Returns a record from an order and its number."""
    separator: bytes = b"\n"


@dataclass(frozen=True)
class Case:
    """A file of one shape, and the folder of its contract."""

    shape: Shape
    path: Path
    contracts: Path
    records: int

    @property
    def n_bytes(self) -> int:
        return self.path.stat().st_size


def make_case(shape: Shape, orders: int) -> Case:
    """Return the file of a shape with this number of records."""
    source = make_input(orders)
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    folder = _FOLDER / f"{source.path.parent.name}-{made_by}" / shape.name
    contracts, path = folder / "contracts", folder / f"{orders}.jsonl"
    if not path.is_file():
        shutil.rmtree(contracts, ignore_errors=True)
        shutil.copytree(_ORDERS, contracts / "orders")
        shape.make_contract(contracts / "orders")
        unfinished = path.with_suffix(".part")
        with source.path.open("rb") as lines, unfinished.open("wb") as file:
            file.writelines(
                orjson.dumps(shape.convert(number, orjson.loads(line))) + shape.separator
                for number, line in enumerate(lines)
            )
        unfinished.replace(path)
    return Case(shape, path, contracts, orders)


def _unchanged(_: int, order: Record) -> Record:
    return order


def _with_unknown_field(number: int, order: Record) -> Record:
    return {**order, "source_channel": f"web-{number % 7}"}


def _alternating(number: int, order: Record) -> Record:
    if number % 2:
        return order
    customer = {**order["customer"], "loyalty_tier": "gold"}
    return {"schema_version": 2, **order, "customer": customer, "tax_amount": 0, "discount_amount": 0}


def _edit(path: Path, change: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data, indent=1), "utf-8")


def _keep_contract(_: Path) -> None:
    """Use the contract as it is."""


def _unknown_fields(value: str) -> Callable[[Path], None]:
    return lambda folder: _edit(
        folder / "contract.json", lambda contract: contract.update(input={"unknown_fields": value})
    )


def _exacting(folder: Path) -> None:
    """Use a pattern with a class of characters, unique items, and a condition."""

    def change(schema: Any) -> None:
        schema["properties"]["order_id"] = {"type": "string", "pattern": r"^\d-\d{8}$"}
        schema["properties"]["items"]["uniqueItems"] = True
        schema["if"] = {"required": ["currency"], "properties": {"currency": {"const": "EUR"}}}
        schema["then"] = {"properties": {"status": {"enum": schema["properties"]["status"]["enum"]}}}

    _edit(folder / "v1.schema.json", change)


_TEXT, _FLAG, _WHOLE = {"type": ["string", "null"]}, {"type": "boolean"}, {"type": "integer"}
_DECIMAL, _TIME = {"type": "string", "decimal": [15, 2]}, {"type": ["string", "null"], "format": "date-time"}
_SHOP_KINDS: Mapping[str, Any] = {"text": _TEXT, "flag": _FLAG, "count": _WHOLE, "amount": _DECIMAL, "at": _TIME}
_SHOP_FIELDS = [(f"{kind}_{number:02}", kind) for kind in _SHOP_KINDS for number in range(24)]
_ADDRESS_FIELDS = ("first_name", "street", "city", "region", "postal_code", "country", "phone")


def _object(properties: Record) -> Record:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _shop_order(number: int, order: Record) -> Record:
    """Return an order of a shop with 150 fields, of which many are null, as in a webhook."""
    address = order["customer"]["address"]
    values = {
        "text": order["customer"]["name"] if number % 3 else None,
        "flag": bool(number % 2),
        "count": number,
        "amount": f"{order['total_amount']:.2f}",
        "at": order["order_date"] if number % 5 else None,
    }
    inner = {**dict.fromkeys(_ADDRESS_FIELDS), **address, "first_name": order["customer"]["name"]}
    return {
        "id": order["order_id"],
        **{name: values[kind] for name, kind in _SHOP_FIELDS},
        "billing_address": inner,
        "shipping_address": inner,
        "line_items": [
            {"id": item["line_number"], "title": item["product_name"], "price": f"{item['unit_price']:.2f}"}
            for item in order["items"]
        ],
    }


def _shop(folder: Path) -> None:
    address = _object(dict.fromkeys(_ADDRESS_FIELDS, _TEXT))
    item = _object({"id": _WHOLE, "title": _TEXT, "price": _DECIMAL})
    fields = {name: _SHOP_KINDS[kind] for name, kind in _SHOP_FIELDS}
    schema = _object(
        {
            "id": {"type": "string"},
            **fields,
            "billing_address": address,
            "shipping_address": address,
            "line_items": {"type": "array", "items": item},
        }
    )
    types = {"text": "VARCHAR", "flag": "BOOLEAN", "count": "BIGINT", "amount": "DECIMAL(15,2)", "at": "TIMESTAMP"}
    _replace(folder, schema, {name: types[kind] for name, kind in _SHOP_FIELDS})


_EVENTS: Mapping[str, Record] = {
    "viewed": {"product_id": {"type": "string"}, "seconds": {"type": "number"}},
    "ordered": {"order_id": {"type": "string"}, "total_amount": {"type": "number", "decimal": [16, 4]}},
    "registered": {"name": {"type": "string"}, "email": _TEXT, "address": {"type": "object"}},
}


def _event(number: int, order: Record) -> Record:
    kind = list(_EVENTS)[number % len(_EVENTS)]
    customer, item = order["customer"], order["items"][0]
    given = {
        "viewed": {"product_id": item["product_id"], "seconds": item["unit_price"]},
        "ordered": {"order_id": order["order_id"], "total_amount": order["total_amount"]},
        "registered": {"name": customer["name"], "email": customer.get("email"), "address": customer["address"]},
    }
    visit = {
        "session_id": f"{number:032x}",
        "url": f"https://shop.example/products/{number % 97}?utm_source=newsletter&utm_campaign=spring",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "referrer": None if number % 2 else "https://search.example/results?q=tea",
    }
    return {"id": order["order_id"], "kind": kind, "happened_at": order["order_date"], **visit, **given[kind]}


def _events(folder: Path) -> None:
    visit = dict.fromkeys(("session_id", "url", "user_agent", "referrer"), _TEXT)
    common = {"id": {"type": "string"}, "happened_at": {"type": "string", "format": "date-time"}, **visit}
    variants = [_object({**common, "kind": {"const": kind}, **fields}) for kind, fields in _EVENTS.items()]
    columns = {"kind": "VARCHAR", "happened_at": "TIMESTAMP", "product_id": "VARCHAR", "seconds": "DOUBLE"}
    _replace(folder, {"oneOf": variants}, {**columns, "total_amount": "DECIMAL(18,4)", "name": "VARCHAR"})


def _replace(folder: Path, schema: Record, columns: Mapping[str, str]) -> None:
    """Replace the contract with one that has this schema, and a single table with the id and these columns."""
    for path in folder.glob("*.*"):
        path.unlink()
    draft = json.loads((_ORDERS / "v1.schema.json").read_text("utf-8"))["$schema"]
    (folder / "v1.schema.json").write_text(json.dumps({"$schema": draft, **schema}), "utf-8")
    named = [{"name": name, "type": kind} for name, kind in {"id": "VARCHAR", **columns}.items()]
    table = {"name": "records_of_shop", "key": ["id"], "columns": named}
    contract = {"dataset": "orders", "current_version": 1, "record_table": table["name"], "tables": [table]}
    (folder / "contract.json").write_text(json.dumps(contract), "utf-8")
    selected = ", ".join(["id", *columns])
    (folder / f"{table['name']}.sql").write_text(f"SELECT _position, {selected} FROM records", "utf-8")


SHAPES = (
    Shape(REFERENCE, "the reference orders", _keep_contract, _unchanged),
    Shape("dropped", "an unknown field in each record, dropped", _unknown_fields("drop"), _with_unknown_field),
    Shape("kept", "an unknown field in each record, kept", _unknown_fields("keep"), _with_unknown_field),
    Shape("versions", "two alternating versions", _keep_contract, _alternating),
    Shape("exacting", r"a pattern with \d, unique items and a condition", _exacting, _unchanged),
    Shape("shop", "a shop's orders with 150 fields", _shop, _shop_order),
    Shape("events", "polymorphic events", _events, _event),
    Shape("glued", "orders without anything between them", _keep_contract, _unchanged, separator=b""),
)
