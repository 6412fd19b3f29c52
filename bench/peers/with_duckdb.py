"""Uses DuckDB alone, with SELECTs directly on the file, or with a table that is loaded once with explicit types.

https://duckdb.org/docs/stable/data/json/overview (which begins with `SELECT * FROM 'todos.json'`),
https://duckdb.org/docs/stable/data/json/loading_json and https://duckdb.org/docs/stable/sql/statements/copy
"""

from pathlib import Path

import duckdb

_COLUMNS = """{
    order_id: 'VARCHAR', order_date: 'TIMESTAMPTZ', status: 'VARCHAR', currency: 'VARCHAR',
    customer: 'STRUCT(customer_id VARCHAR, name VARCHAR, email VARCHAR, phone VARCHAR,
        address STRUCT(street VARCHAR, city VARCHAR, region VARCHAR, postal_code VARCHAR, country VARCHAR))',
    items: 'STRUCT(line_number BIGINT, product_id VARCHAR, product_name VARCHAR, quantity DECIMAL(12, 3),
        unit_price DECIMAL(16, 4), discount DECIMAL(5, 4))[]',
    shipping_cost: 'DECIMAL(16, 4)', total_amount: 'DECIMAL(16, 4)'}"""

_TABLES = {
    "orders": """
        SELECT order_id, order_date, status, currency, customer.customer_id, shipping_cost, total_amount FROM raw
        """,
    "customers": """
        SELECT customer.customer_id, customer.name, customer.email, customer.phone, customer.address.street,
            customer.address.city, customer.address.region, customer.address.postal_code, customer.address.country,
            order_date AS last_order_date
        FROM raw
        QUALIFY row_number() OVER (PARTITION BY customer.customer_id ORDER BY order_date DESC) = 1
        """,
    "items": "SELECT order_id, unnest(item) FROM (SELECT order_id, unnest(items) AS item FROM raw)",
}


def run_detected(source: Path, out: Path) -> dict[str, int]:
    """Run three COPY statements directly on the file, with one thread. Amounts become DOUBLE."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE VIEW raw AS FROM '{source}'")
        return _copy_all(connection, out)


def run_typed(source: Path, out: Path) -> dict[str, int]:
    """Parse the file once into a table with explicit types, with one thread. Amounts become DECIMAL."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            f"CREATE TABLE raw AS FROM read_json('{source}', format = 'newline_delimited', columns = {_COLUMNS})"
        )
        return _copy_all(connection, out)


def _copy_all(connection: duckdb.DuckDBPyConnection, out: Path) -> dict[str, int]:
    return {name: _copy(connection, select, out / f"{name}.parquet") for name, select in _TABLES.items()}


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path) -> int:
    copied = connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)").fetchone()
    return int(copied[0]) if copied else 0
