"""Write reproducible orders: the same arguments give the same bytes on every machine and Python version.

A valid order satisfies the contract in `contracts/orders/`, in version 1 by default. Exactly round(N * invalid ratio)
of N orders violate the contract. They are evenly spread and take the defects of `DEFECTS` in turn. A longer run starts
with the valid orders of a shorter run. Other versions have the same orders, plus the fields that are new.

The only source of randomness is `random.Random(seed).random()`, which Python promises not to change
(https://docs.python.org/3/library/random.html#notes-on-reproducibility). Amounts are calculated in whole numbers.
Compressed output also depends on the build of zlib.
"""

import argparse
import gzip
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import cycle, product
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeVar

import orjson
from rich.console import Console
from rich.progress import Progress

Order = dict[str, Any]
_Option = TypeVar("_Option")

MAX_ORDERS = 99_999_999
MAX_SEED = 2**32 - 1
STDOUT = Path("-")
_ORDERS_BETWEEN_NEWS = 1_000
_START = datetime(2024, 1, 1)
_SECONDS_BETWEEN_ORDERS = 37
_ORDERS_BETWEEN_MOVES = 50_000
_SMALL_LETTERS = 0.25  # the share of orders of version 2 whose currency is in lower case
_CUSTOMER_LEVELS = 13  # level n is customers 2^n to 2^(n+1) - 1; each level has as many orders: nearly Zipf's law

# fmt: off
_COUNTRIES = (
    # code, currency, minutes ahead of UTC, given names, family names, full name, phone,
    # street, postal code, cities with their region; in an address, {0} is below 100 and {1} below 1,000
    ("DE", "EUR", 60, "Jürgen Renate Jörg Käthe", "Müller Weiß Ahrens", "{0} {1}", "+49 30 555{1:03}",
     "Luisenstr. {0}", "04{1:03}", (("Görlitz", None), ("Leipzig", "SN"))),
    ("US", "USD", -300, "Ann Bob Mary-Jane José", "O'Neill Smith McCoy", "{0} {1}", "(555) 010-{1:04}",
     "{1} Main St., #{0}", "02{1:03}", (("Boston", "MA"), ("Providence", "RI"))),
    ("GB", "GBP", 0, "Siân Nigel Seán Daisy", "O'Brien Smith-Jones Fry", "{0} {1}", "020 7946 0{1:03}",
     "{0} King's Road", "SW{0} 3AB", (("London", None), ("King's Lynn", "Norfolk"))),
    ("BR", "BRL", -180, "João Conceição Inês", "Gonçalves Araújo Simões", "{0} {1}", "(21) 555-0{1:03}",
     "Rua do Paço, {0}", "05{1:03}-8{0:02}", (("São Paulo", "SP"), ("Rio de Janeiro", "RJ"))),
    ("CN", "CNY", 480, "伟 秀英 敏 静", "王 李 张 刘", "{1}{0}", "010-5550{1:03}",
     "中山路{0}号", "0{0:02}{1:03}", (("北京", None), ("石家庄", "河北"))),
    ("IN", "INR", 330, "अमित प्रिया राहुल", "शर्मा गुप्ता सिंह", "{0} {1}", "+91 22 5550{1:03}",
     "{0}, गांधी मार्ग", "400{1:03}", (("मुंबई", "MH"), ("पुणे", "MH"))),
    ("SA", "SAR", 180, "محمد فاطمة أحمد", "القحطاني الحربي", "{0} {1}", "+966 11 555{1:03}",
     "شارع فهد {0}", "12{1:03}", (("الرياض", None), ("جدة", "مكة"))),
    ("CA", "CAD", -210, "Chloé Liam Zoë", "Tremblay Roy", "{0} {1}", "(709) 555-0{1:03}",
     "{0} Duckworth St", "A1C 5M{0}", (("St. John's", "NL"), ("Gander", "NL"))),
)
_ODD_NAMES = (
    "=SUM(A1:A9) GmbH", "+Plus & Co.", "-Minus, Inc.", "@Home Deluxe", 'Pat "The Cat" O\'Hara', "'Quoted', Ltd.",
    "Back\\slash & Søns", "NULL", "007", "Robert'); DROP TABLE orders;--", "Ünïcode 😀 👩\u200d👩\u200d👧",
    "Tab\tand\nbreak", "E\u0301mile (decomposed)", "<b>Bold</b>", "\u202bשלמה\u202c, Ltd.", "Sons; Daughters | Co.",
)
_GOODS = ("Queso", "Knäckebröd", "Pâté", "Olive Oil", "Chai", "Crème brûlée", "豆腐", "=Equals Tea", "Jack's Chowder",
          "Smørrebrød", "Jalapeño", "חלבה", "Müsli", 'Tarte "Tatin"')
_SIZES = ("1 kg", "2 dl", '4" tin', "bio 🌱", "No. 7", "#2", "50%", "loose")
_ITEM_COUNTS = (*[1] * 17, *[2] * 11, *[3] * 6, *[4] * 3, 5, 6, 7, 8)
_QUANTITIES = (1_000, 1_000, 2_000, 3_000, 5_000, 10_000, 12_000, 24_000)  # these and the next two are in thousandths
_LOOSE_QUANTITIES = (125, 250, 333, 500, 1_250, 1_335, 2_345, 10_000)
_DISCOUNTS = (0, 0, 0, 50, 100, 125, 150)
_SHIPPING = (0, 0, 299, 495, 650, 1_200, 3_238, 10_000)  # in cents
_STATUSES = ("pending", "paid", "shipped", "delivered", "delivered", "delivered", "cancelled")
_TAX_PERCENTS = (0, 5, 19, 20, 25)
_PERCENTS_OFF = (0, 0, 0, 2, 10)  # of the sum of the items
_TIERS = ("bronze", "bronze", "silver", "gold")
_DATE_LENGTHS = (19, 19, 23, 26)  # to the second, millisecond, microsecond
# fmt: on


def _offers() -> Iterator[tuple[Order, int]]:
    """Yield an item and its amount in cents for each product, quantity and discount. Line numbers are 1."""
    for number, (good, size) in enumerate(product(_GOODS, _SIZES), 1):
        price = (95 + number * number * 37 % 9_900) * 100 + (number * 7 + 1) % 100 * (number % 10 == 0)  # in 1/10,000
        quantities = _LOOSE_QUANTITIES if size == "loose" else _QUANTITIES
        for quantity, discount in product(quantities, _DISCOUNTS):
            item = {
                "line_number": 1,
                "product_id": f"{number:04}",
                "product_name": f"{good}, {size}",
                "quantity": quantity / 1_000 if size == "loose" else quantity // 1_000,
                "unit_price": price / 10_000,
                "discount": discount / 1_000,
            }
            yield item, (quantity * price * (1_000 - discount) + 50_000_000) // 100_000_000


_OFFERS = tuple(_offers())


@lru_cache(maxsize=1 << _CUSTOMER_LEVELS)
def _customer(number: int, moves: int) -> tuple[Order, str, datetime, str]:
    """Return a customer after `moves` moves, with the currency, the local time at the start, and the time zone."""
    who, where = sha256(b"customer %d" % number).digest(), sha256(b"home %d %d" % (number, moves)).digest()
    country = _choice(_COUNTRIES, who[0])
    code, currency, ahead, given, family, full_name, phone, street, postal_code, cities = country
    name = full_name.format(_choice(given.split(), who[1]), _choice(family.split(), who[2]))
    city, region = _choice(cities, where[0])
    numbers = where[1] % 100, (where[2] * 256 + where[3]) % 1_000
    customer: Order = {"customer_id": f"C{number:04}", "name": _choice(_ODD_NAMES, who[3]) if who[4] < 24 else name}
    _nullable(customer, "email", f"{code.lower()}{number}@example.com", who[5])
    _nullable(customer, "phone", phone.format(who[6] % 100, who[7]), who[8])
    customer["address"] = address = {"street": street.format(*numbers), "city": city}
    _nullable(address, "region", region, where[4])
    _nullable(address, "postal_code", postal_code.format(*numbers), where[5])
    address["country"] = code
    zone = f"{'-' if ahead < 0 else '+'}{abs(ahead) // 60:02}:{abs(ahead) % 60:02}" if ahead else "Z"
    return customer, currency, _START + timedelta(minutes=ahead), zone


def _choice(options: Sequence[_Option], byte: int) -> _Option:
    return options[byte % len(options)]


def _nullable(record: Order, field: str, value: str | None, byte: int) -> None:
    """Set a field, but leave it out for 24 of 256 values of `byte`, and set it to null for another 24."""
    if byte >= 24:
        record[field] = value if byte >= 48 else None


def orders(count: int, seed: int = 0, versions: Sequence[int] = (1,)) -> Iterator[Order]:
    """Yield `count` valid orders, each later than the previous order and with a random version out of `versions`.

    Orders share their customers' dicts, so copy an order before changing it.
    """
    draw, draw_of_version = Random(seed).random, Random(MAX_SEED + 1 + seed).random
    for index in range(count):
        level = int(draw() * min(_CUSTOMER_LEVELS, (index // 4 | 7).bit_length()))
        number = int((1 + draw()) * (1 << level))
        customer, currency, start, zone = _customer(number, (index + number * 7_077) // _ORDERS_BETWEEN_MOVES)
        moment = start + timedelta(0, index * _SECONDS_BETWEEN_ORDERS, int(draw() * 36_000_000))
        cents, items = 0, []
        for line_number in range(1, _ITEM_COUNTS[int(draw() * len(_ITEM_COUNTS))] + 1):
            offer, offer_cents = _OFFERS[int(draw() * len(_OFFERS))]
            item = offer.copy()
            item["line_number"] = line_number
            items.append(item)
            cents += offer_cents
        shipping = _SHIPPING[int(draw() * len(_SHIPPING))]
        order: Order = {
            "order_id": f"{seed}-{index + 1:08}",
            "order_date": moment.isoformat()[: _DATE_LENGTHS[int(draw() * len(_DATE_LENGTHS))]] + zone,
            "status": _STATUSES[int(draw() * len(_STATUSES))],
            "currency": currency,
            "customer": customer,
            "items": items,
            "shipping_cost": shipping / 100,
            "total_amount": (cents + shipping) / 100,
        }
        yield order if versions == (1,) else _of_a_version(order, cents, shipping, versions, draw_of_version)


def _of_a_version(order: Order, cents: int, shipping: int, versions: Sequence[int], draw: Callable[[], float]) -> Order:
    """Convert an order of version 1 to a random version out of `versions`. Takes four random numbers for each order."""
    version, tax_draw, discount_draw, case_draw = draw(), draw(), draw(), draw()
    if versions[int(version * len(versions))] == 1:
        return order
    tax = (cents * _TAX_PERCENTS[int(tax_draw * len(_TAX_PERCENTS))] + 50) // 100
    discount = cents * _PERCENTS_OFF[int(discount_draw * len(_PERCENTS_OFF))] // 100
    customer = dict(order["customer"])
    who = sha256(customer["customer_id"].encode()).digest()
    _nullable(customer, "loyalty_tier", _choice(_TIERS, who[0]), who[1])
    del order["total_amount"]  # which is added again as the last field
    return {
        "schema_version": 2,
        **order,
        "currency": order["currency"].lower() if case_draw < _SMALL_LETTERS else order["currency"],
        "customer": customer,
        "tax_amount": tax / 100,
        "discount_amount": discount / 100,
        "total_amount": (cents + shipping + tax - discount) / 100,
    }


class Defect(NamedTuple):
    description: str
    damage: Callable[[bytes], bytes]
    """Turns the JSON of a valid order into the JSON of an invalid order."""
    lines_only: bool = False
    """Whether the order isn't valid JSON, so that an array can't contain it."""
    versions: tuple[int, ...] = (1, 2)
    """The contract versions that the defect violates."""


def _sub(pattern: str, new: str) -> Callable[[bytes], bytes]:
    """Return a function that replaces the first match of `pattern` with `new`, encoded in Latin-1."""
    compiled, replacement = re.compile(pattern.encode()), new.encode("latin-1")
    return lambda line: compiled.sub(replacement, line, count=1)


def _a_cent_more(line: bytes) -> bytes:
    start, total = line[:-1].rsplit(b":", 1)
    return start + b":" + orjson.dumps((round(float(total) * 100) + 1) / 100) + b"}"


_FREE_ITEM = '{"line_number":1,"product_id":"0","product_name":"Gift","quantity":1,"unit_price":0.0,"discount":0.0},'

# fmt: off
DEFECTS = {
    "missing_field": Defect("no currency", _sub('"currency":"...",', "")),
    "unknown_field": Defect("a field that the contract does not define", _sub("^{", '{"coupon":"WELCOME",')),
    "text_for_number": Defect("a quantity in quotes", _sub('"quantity":([^,]+)', r'"quantity":"\1"')),
    "true_for_number": Defect("true for a quantity", _sub('"quantity":[^,]+', '"quantity":true')),
    "impossible_date": Defect("an order date of February 30", _sub("-..-..T", "-02-30T")),
    "date_without_zone": Defect("an order_date without a time zone", _sub(r'(T[\d:.]+)[^"]+', r"\1")),
    "unknown_status": Defect('the status "lost"', _sub('"status":"[a-z]+"', '"status":"lost"')),
    "lower_case_currency": Defect(
        'the currency "eur", in version 1', _sub('"currency":"..."', '"currency":"eur"'), versions=(1,)),
    "mixed_case_currency": Defect(
        'the currency "Eur", in version 2', _sub('"currency":"..."', '"currency":"Eur"'), versions=(2,)),
    "total_mismatch": Defect("a total_amount that is one cent too high", _a_cent_more),
    "no_items": Defect("no items", _sub(r'"items":\[.*\],"sh', '"items":[],"sh')),
    "negative_quantity": Defect("a quantity below 0", _sub('"quantity":', '"quantity":-')),
    "duplicate_line_number": Defect("two items with line_number 1", _sub(r'"items":\[', '"items":[' + _FREE_ITEM)),
    "money_out_of_bounds": Defect("a unit_price of 10^12", _sub('"unit_price":[^,]+', '"unit_price":1000000000000')),
    "too_many_decimals": Defect("a unit_price with five decimals", _sub('"unit_price":[^,]+', '"unit_price":9.99999')),
    "control_character": Defect("a name with a null character", _sub('"name":"', r'"name":"\\u0000')),
    "huge_integer": Defect("a quantity beyond 64 bits", _sub('"quantity":[^,]+', f'"quantity":{10**30}')),
    "lone_surrogate": Defect("a name with a lone surrogate", _sub('"name":"', r'"name":"\\ud800')),
    "deep_nesting": Defect("2,000 nested arrays", _sub("^{", '{"nested":' + "[" * 2_000 + "]" * 2_000 + ",")),
    "not_a_number": Defect("NaN for a unit_price", _sub('"unit_price":[^,]+', '"unit_price":NaN'), lines_only=True),
    "latin_1": Defect("a name in Latin-1, not UTF-8", _sub('"name":"', '"name":"Zoë '), lines_only=True),
    "unknown_version": Defect("the unknown version 3", _sub('"schema_version":2', '"schema_version":3'), versions=(2,)),
    "broken_line": Defect("an order that ends at its items", _sub('"items":.*', ""), lines_only=True),
}
"""The defects of invalid orders, in order of use."""
# fmt: on


def generate(
    count: int, seed: int = 0, invalid_ratio: float = 0.0, fmt: str = "jsonl", versions: Sequence[int] = (1,)
) -> Iterator[tuple[bytes, str | None]]:
    """Yield `count` orders as JSON without line breaks, each with the name of its defect, or None if it is valid."""
    possible = {name: defect for name, defect in DEFECTS.items() if fmt == "jsonl" or not defect.lines_only}
    turns = {
        version: cycle([name for name, defect in possible.items() if version in defect.versions])
        for version in versions
    }
    invalid, made = round(invalid_ratio * count), 0
    for number, order in enumerate(orders(count, seed, versions), 1):
        line = orjson.dumps(order)
        if number * invalid // count == made:
            yield line, None
        else:
            name = next(turns[order.get("schema_version", 1)])
            made += 1
            yield DEFECTS[name].damage(line), name


def write(
    path: Path,
    count: int,
    seed: int = 0,
    invalid_ratio: float = 0.0,
    fmt: str = "jsonl",
    compress: bool = False,
    advance: Callable[[int], object] = lambda written: None,
    versions: Sequence[int] = (1,),
) -> Counter[str]:
    """Write orders to `path`, completely or not at all, or to `STDOUT`. Return the number of orders per defect.

    `fmt` is "jsonl" (one order per line) or "json" (one array). `advance` is called with the number of written orders.
    """
    before, between, after = (b"[\n", b",\n", b"\n]\n") if fmt == "json" else (b"", b"\n", b"\n" if count else b"")
    made: Counter[str] = Counter()
    with _whole_file(path) as file, gzip.GzipFile("", "wb", 6, file, 0) if compress else nullcontext(file) as sink:
        sink.write(before)
        for number, (text, defect) in enumerate(generate(count, seed, invalid_ratio, fmt, versions), 1):
            sink.write(between + text if number > 1 else text)
            if defect:
                made[defect] += 1
            if number % _ORDERS_BETWEEN_NEWS == 0 or number == count:
                advance(number)
        sink.write(after)
    return made


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that is renamed to `path` once it is complete, and deleted after an error or Ctrl-C."""
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb", buffering=1 << 20) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


_VERSIONS = {"1": (1,), "2": (2,), "mixed": (1, 2)}

_HELP = """\
examples:
  python src/generate_data.py                                    1,000 orders in build/data/orders.jsonl
  python src/generate_data.py --orders 200000 --out big.jsonl    about 130 MB
  python src/generate_data.py --invalid-ratio 0.05 --seed 7      other orders, of which 50 are invalid
  python src/generate_data.py --format json --gzip               one array in build/data/orders.json.gz
  python src/generate_data.py --schema-version mixed             orders of versions 1 and 2
  python src/generate_data.py --orders 3 --out -                 to the terminal, or into a pipe

defects of invalid orders, used in turn:
""" + "\n".join(f"  {name:<22} {one.description}{', jsonl only' * one.lines_only}" for name, one in DEFECTS.items())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:].rstrip('.')}; see --help.\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(description=(__doc__ or "").split("\n")[0], epilog=_HELP, formatter_class=raw, allow_abbrev=False)
    add = parser.add_argument
    add("--orders", metavar="N", type=int, default=1_000, help="the number of orders (default: 1000)")
    add("--seed", metavar="S", type=int, default=0, help="the seed; each seed gives other orders (default: 0)")
    add("--format", choices=("json", "jsonl"), default="jsonl", help="one array, or an order per line (default: jsonl)")
    add("--gzip", action="store_true", help="compress the file")
    add("--invalid-ratio", metavar="R", type=float, default=0.0, help="the share of invalid orders (default: 0)")
    add(
        "--schema-version",
        choices=_VERSIONS,
        default="1",
        help="the version of the contract, or both at random (default: 1)",
    )
    add("--out", metavar="PATH", type=Path, help="the file, or - for stdout (default: build/data/orders.FORMAT)")
    options = parser.parse_args(arguments)
    options.out = options.out or Path(f"build/data/orders.{options.format}{'.gz' * options.gzip}")
    for name, top in (("orders", MAX_ORDERS), ("seed", MAX_SEED), ("invalid_ratio", 1)):
        if not 0 <= (value := getattr(options, name)) <= top:
            parser.error(f"--{name.replace('_', '-')} takes 0 to {top:,}, not {value:,}")
    with suppress(OSError):  # writing raises it again
        if options.out != STDOUT and options.out.exists() and not options.out.is_file():
            parser.error(f"--out must be a file, but {options.out} isn't one")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write orders. Return 0, 1 if that fails, or 130 after Ctrl-C. Exit with 2 if the arguments are invalid."""
    options = _options(arguments)
    count, out = options.orders, options.out
    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("Orders", total=count)
            made = write(
                out,
                count,
                options.seed,
                options.invalid_ratio,
                options.format,
                options.gzip,
                advance=lambda written: progress.update(task, completed=written),
                versions=_VERSIONS[options.schema_version],
            )
    except KeyboardInterrupt:
        print("Interrupted: no file was written.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader closed the pipe; https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:
        print(f"Cannot write {out}: {exc.strerror}.", file=sys.stderr)
        return 1
    defects = ": " + ", ".join(f"{times:,} {name}" for name, times in made.items()) if made else ""
    size = "" if out == STDOUT else f", {out.stat().st_size:,} bytes"
    print(f"{out}: {count:,} orders{size}, {made.total():,} invalid{defects}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
