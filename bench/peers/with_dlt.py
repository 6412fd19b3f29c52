"""Uses dlt with its reader of JSON Lines, its filesystem destination as Parquet, and a frozen schema contract.

https://dlthub.com/docs/dlt-ecosystem/verified-sources/filesystem/basic,
https://dlthub.com/docs/dlt-ecosystem/destinations/filesystem and
https://dlthub.com/docs/general-usage/schema-contracts. A contract that is frozen from the first run needs
explicit columns, with which dlt reads amounts as exact decimals. Two transformers use the reader, and dlt converts a
nested list to a table.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
from dlt.sources.filesystem import readers


def _text_columns(*names: str) -> dict[str, Any]:
    return {name: {"data_type": "text"} for name in names}


def _decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"data_type": "decimal", "precision": precision, "scale": scale}


_ORDERS = {
    **_text_columns("order_id", "status", "currency", "customer_id"),
    "order_date": {"data_type": "timestamp"},
    "shipping_cost": _decimal(16, 4),
    "total_amount": _decimal(16, 4),
}
_ITEMS = {
    **_text_columns("product_id", "product_name"),
    "line_number": {"data_type": "bigint"},
    "quantity": _decimal(12, 3),
    "unit_price": _decimal(16, 4),
    "discount": _decimal(5, 4),
}
_CUSTOMERS = {
    **_text_columns("customer_id", "name", "email", "phone"),
    **_text_columns(*(f"address__{name}" for name in ("street", "city", "region", "postal_code", "country"))),
    "last_order_date": {"data_type": "timestamp"},
}
_CONTRACT: Any = {"tables": "evolve", "columns": "freeze", "data_type": "freeze"}


@dlt.transformer(  # type: ignore[untyped-decorator]
    columns=_ORDERS,
    nested_hints={"items": dlt.mark.make_nested_hints(columns=_ITEMS)},
    schema_contract=_CONTRACT,
)
def orders(page: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield orders with the id of their customer. dlt converts their items to a table."""
    yield [{**_without_customer(order), "customer_id": order["customer"]["customer_id"]} for order in page]


@dlt.transformer(columns=_CUSTOMERS, schema_contract=_CONTRACT)  # type: ignore[untyped-decorator]
def customers(page: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield one row per order, because the filesystem destination merges only with Delta or Iceberg."""
    yield [{**order["customer"], "last_order_date": order["order_date"]} for order in page]


def _without_customer(order: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "customer"}


def run(source: Path, out: Path) -> dict[str, int]:
    """Convert the file with one process and one worker per stage (EXTRACT__, NORMALIZE__ and LOAD__WORKERS are 1)."""
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        destination=dlt.destinations.filesystem(bucket_url=str(out)),
        dataset_name="shop",
        pipelines_dir=str(out / "pipelines"),
    )
    lines = readers(bucket_url=str(source.parent), file_glob=source.name).read_jsonl()
    pipeline.run([lines | orders, lines | customers], loader_file_format="parquet")
    candidates = _rows(out / "shop" / "customers")
    rows = {"orders": _rows(out / "shop" / "orders"), "items": _rows(out / "shop" / "orders__items")}
    if candidates != rows["orders"]:
        raise ValueError(f"{candidates} customers for {rows['orders']} orders")
    return rows


def _rows(folder: Path) -> int:
    return sum(int(pq.read_metadata(part).num_rows) for part in folder.glob("*.parquet"))
