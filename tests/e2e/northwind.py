"""The files of orders that the end-to-end tests send."""

from pathlib import Path

NORTHWIND = Path(__file__).parents[1] / "data" / "northwind_orders.jsonl"
LINES = NORTHWIND.read_bytes().splitlines()

BAD = [
    b'{"order_id": "half an order',
    LINES[0].replace(b'"total_amount":472.38', b'"total_amount":472.39'),
    LINES[1].replace(b'"country":"DE"', b'"country":"Germany"'),
]
"""Orders that break the contract, each in another way; no setting accepts one of them."""

MIXED = b"\n".join(LINES[10:60] + BAD + LINES[60:110])
"""A hundred good orders, with the bad ones in the middle."""

HOPELESS = b"{}\n" * 10
"""Lines without a single order."""
