"""Small files of orders: valid, mixed, without valid records, empty. A number makes their orders distinct."""

from tests.unit.orders import lines, order


def good(number: int = 0) -> bytes:
    """Two orders."""
    return lines([order(order_id=f"{number}-a"), order(order_id=f"{number}-b")])


def mixed(number: int = 0) -> bytes:
    """Five records: three to publish, one to reject, and one that a much later record supersedes."""
    superseded = order(order_id=f"{number}-b", shipping_cost=0.0001)
    published = [order(order_id=f"{number}-{letter}") for letter in "acb"]
    return lines([superseded, published[0], order(order_id=f"{number}-x", total_amount=0), *published[1:]])


def hopeless(number: int = 0) -> bytes:
    """Two records that violate the contract."""
    return lines([{"order_id": f"{number}-a"}, {"order_id": f"{number}-b"}])


def empty(_number: int = 0) -> bytes:
    """No record at all."""
    return b"\n"
