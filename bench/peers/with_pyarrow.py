"""Uses pyarrow's JSON reader with an explicit schema, its compute functions, and its Parquet writer.

https://arrow.apache.org/docs/python/json.html and https://arrow.apache.org/docs/python/compute.html
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.acero  # otherwise group_by would import it during the measurement
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

_ADDRESS = pa.struct([(name, pa.string()) for name in ("street", "city", "region", "postal_code", "country")])
_CUSTOMER = pa.struct(
    [*((name, pa.string()) for name in ("customer_id", "name", "email", "phone")), ("address", _ADDRESS)]
)
_ITEM = pa.struct(
    [
        ("line_number", pa.int64()),
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("quantity", pa.float64()),
        ("unit_price", pa.float64()),
        ("discount", pa.float64()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("order_date", pa.timestamp("us", "UTC")),
        ("status", pa.string()),
        ("currency", pa.string()),
        ("customer", _CUSTOMER),
        ("items", pa.list_(_ITEM)),
        ("shipping_cost", pa.float64()),
        ("total_amount", pa.float64()),
    ]
)


def run(source: Path, out: Path) -> dict[str, int]:
    """Convert the file with one thread. The pools have size 1, and no call uses them."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    raw = pj.read_json(
        source, pj.ReadOptions(use_threads=False, block_size=1 << 24), pj.ParseOptions(explicit_schema=_SCHEMA)
    )
    customers = pa.Table.from_struct_array(raw["customer"]).append_column("last_order_date", raw["order_date"])
    orders = raw.drop_columns(["customer", "items"]).append_column("customer_id", customers["customer_id"])
    items = pa.Table.from_struct_array(pc.list_flatten(raw["items"]))
    items = items.append_column("order_id", raw["order_id"].take(pc.list_parent_indices(raw["items"])))
    tables = {"orders": orders, "customers": _latest(customers.flatten()), "items": items}
    for name, table in tables.items():
        pq.write_table(table, out / f"{name}.parquet", compression="zstd")
    return {name: table.num_rows for name, table in tables.items()}


def _latest(customers: pa.Table) -> pa.Table:
    """Return the rows of each customer's latest order."""
    others = [name for name in customers.column_names if name != "customer_id"]
    by_date = customers.sort_by("last_order_date")
    return by_date.group_by("customer_id", use_threads=False).aggregate([(name, "last") for name in others])
