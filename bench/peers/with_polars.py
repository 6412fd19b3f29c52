"""Uses polars with a lazy scan of the lines, an explicit schema, and three sinks that share the scan.

https://docs.pola.rs/user-guide/io/json/ and https://docs.pola.rs/user-guide/lazy/sources_sinks/#multiplexing-sinks
"""

from pathlib import Path

import polars as pl

_STRINGS = ("street", "city", "region", "postal_code", "country")
_ADDRESS = pl.Struct(dict.fromkeys(_STRINGS, pl.String))
_CUSTOMER = pl.Struct(
    {"customer_id": pl.String, "name": pl.String, "email": pl.String, "phone": pl.String, "address": _ADDRESS}
)
_ITEM = pl.Struct(
    {
        "line_number": pl.Int64,
        "product_id": pl.String,
        "product_name": pl.String,
        "quantity": pl.Float64,
        "unit_price": pl.Float64,
        "discount": pl.Float64,
    }
)
_SCHEMA = {
    "order_id": pl.String,
    "order_date": pl.String,
    "status": pl.String,
    "currency": pl.String,
    "customer": _CUSTOMER,
    "items": pl.List(_ITEM),
    "shipping_cost": pl.Float64,
    "total_amount": pl.Float64,
}


def run(source: Path, out: Path) -> dict[str, int]:
    """Convert the file with one thread, because POLARS_MAX_THREADS is 1 in the environment."""
    raw = pl.scan_ndjson(source, schema=_SCHEMA).with_columns(
        pl.col("order_date").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    )
    customer_id = pl.col("customer").struct.field("customer_id")
    tables = {
        "orders": raw.select(
            "order_id", "order_date", "status", "currency", customer_id, "shipping_cost", "total_amount"
        ),
        "customers": raw.select("customer", pl.col("order_date").alias("last_order_date"))
        .unnest("customer")
        .unnest("address")
        .sort("last_order_date")
        .unique("customer_id", keep="last"),
        "items": raw.select("order_id", "items").explode("items").unnest("items"),
    }
    pl.collect_all([table.sink_parquet(out / f"{name}.parquet", lazy=True) for name, table in tables.items()])
    return {name: pl.scan_parquet(out / f"{name}.parquet").select(pl.len()).collect().item() for name in tables}
