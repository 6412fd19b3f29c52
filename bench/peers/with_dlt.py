"""dlt: its reader of JSON Lines, the filesystem destination as Parquet, and a frozen schema contract.

https://dlthub.com/docs/dlt-ecosystem/verified-sources/filesystem/basic,
https://dlthub.com/docs/dlt-ecosystem/destinations/filesystem and
https://dlthub.com/docs/general-usage/schema-contracts. A contract that is frozen from the first run on needs every
column told; with that, dlt reads amounts as exact decimals. A nested object becomes columns, a nested list a table.
"""

from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
from dlt.sources.filesystem import readers


def _texts(*names: str) -> dict[str, Any]:
    return {name: {"data_type": "text"} for name in names}


def _decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"data_type": "decimal", "precision": precision, "scale": scale}


_ORDERS = {
    **_texts("order_id", "status", "currency"),
    **_texts(*(f"customer__{name}" for name in ("customer_id", "name", "email", "phone"))),
    **_texts(*(f"customer__address__{name}" for name in ("street", "city", "region", "postal_code", "country"))),
    "order_date": {"data_type": "timestamp"},
    "shipping_cost": _decimal(16, 4),
    "total_amount": _decimal(16, 4),
}
_ITEMS = {
    **_texts("product_id", "product_name"),
    "line_number": {"data_type": "bigint"},
    "quantity": _decimal(12, 3),
    "unit_price": _decimal(16, 4),
    "discount": _decimal(5, 4),
}
_CONTRACT: Any = {"tables": "evolve", "columns": "freeze", "data_type": "freeze"}


def run(source: Path, out: Path) -> dict[str, int]:
    """One process and one worker a stage: EXTRACT__, NORMALIZE__ and LOAD__WORKERS are 1 in the environment."""
    orders = readers(bucket_url=str(source.parent), file_glob=source.name).read_jsonl()
    orders.apply_hints(
        table_name="orders",
        columns=_ORDERS,
        nested_hints={"items": dlt.mark.make_nested_hints(columns=_ITEMS)},
        schema_contract=_CONTRACT,
    )
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        destination=dlt.destinations.filesystem(bucket_url=str(out)),
        dataset_name="shop",
        pipelines_dir=str(out / "pipelines"),
    )
    pipeline.run(orders.with_name("orders"), loader_file_format="parquet")
    return {"orders": _rows(out / "shop" / "orders"), "items": _rows(out / "shop" / "orders__items")}


def _rows(folder: Path) -> int:
    return sum(int(pq.read_metadata(part).num_rows) for part in folder.glob("*.parquet"))
