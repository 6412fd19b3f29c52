"""Write reproducible orders: the same arguments give the same bytes on every machine and every Python.

A valid order keeps the contract in `contracts/orders/`. Of N orders exactly round(invalid ratio × N) break it,
evenly spread, with the defects of `DEFECTS` in turn. A longer run starts with the valid orders of a shorter one.

Nothing is drawn but `random.Random(seed).random()`, which Python promises not to change
(https://docs.python.org/3/library/random.html#notes-on-reproducibility), and amounts are computed in whole numbers.
Only what gzip makes of the bytes depends on more: the build of zlib.
"""

import argparse
import gzip
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import islice, product
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson
from rich.console import Console
from rich.progress import Progress

Order = dict[str, Any]

FORMATS = ("json", "jsonl")
STDOUT = Path("-")
MAX_ORDERS = 100_000_000
MAX_SEED = 2**32 - 1

_BLOCK = 1_000
"""So many orders are written at once."""
_START = datetime(2024, 1, 1)
_SECONDS_BETWEEN_ORDERS = 37
_ORDERS_BETWEEN_MOVES = 25_000
_CUSTOMER_LEVELS = 15
"""Level n is the customers 2^n to 2^(n+1) − 1, and every level orders as much: nearly Zipf's law."""


class _Country(NamedTuple):
    """Where customers live. In a pattern {0} is a number below 100, {1} one below 1,000."""

    code: str
    currency: str
    utc_minutes: int
    name: str
    given_names: str
    family_names: str
    phone: str
    street: str
    postal_code: str
    cities: tuple[tuple[str, str | None], ...]
    """Each with its region."""


# fmt: off
_COUNTRIES = (
    _Country("DE", "EUR", 60, "{0} {1}", "Jürgen Renate Jörg Käthe", "Müller Weiß Großmann Ahrens", "+49 30 555{1:03}",
             "Luisenstraße {0}", "04{1:03}", (("Görlitz", None), ("Leipzig", "SN"), ("Dresden", "SN"))),
    _Country("FR", "EUR", 60, "{0} {1}", "Zoë François Hélène Maël", "D'Arcy Lefèvre Noël L'Hôte", "01.55.50.{0:02}",
             "{0}, rue de l'Abbaye", "01{1:03}", (("Nantua", "Ain"), ("Bourg-en-Bresse", None))),
    _Country("US", "USD", -300, "{0} {1}", "Ann Bob Mary-Jane José", "O'Neill Smith McCoy Núñez", "(555) 010-{1:04}",
             "{1} Main St., Apt. {0}", "02{1:03}", (("Boston", "MA"), ("Providence", "RI"))),
    _Country("GB", "GBP", 0, "{0} {1}", "Siân Nigel Seán Daisy", "O'Brien Smith-Jones Fry", "020 7946 0{1:03}",
             "{0} King's Road", "SW{0} 3AB", (("London", None), ("King's Lynn", "Norfolk"))),
    _Country("BR", "BRL", -180, "{0} {1}", "João Conceição Inês", "Gonçalves Araújo Simões", "(21) 555-0{1:03}",
             "Rua do Paço, {0}", "05{1:03}-8{0:02}", (("São Paulo", "SP"), ("Rio de Janeiro", "RJ"))),
    _Country("SE", "SEK", 60, "{0} {1}", "Åsa Björn Märta", "Öberg Sjögren Ågren", "0921-55 {0:02}",
             "Berguvsvägen {0}", "{1:03} {0:02}", (("Luleå", None), ("Malmö", "Skåne"))),
    _Country("TR", "TRY", 180, "{0} {1}", "İpek Çağrı Şule", "Yılmaz Öztürk Güneş", "0212 555 0{1:03}",
             "Çiçek Sokağı No: {0}", "34{1:03}", (("İstanbul", None), ("Muğla", "Ege"))),
    _Country("CN", "CNY", 480, "{1}{0}", "伟 秀英 敏 静", "王 李 张 刘", "010-5550{1:03}",
             "中山路{0}号", "0{0:02}{1:03}", (("北京", None), ("石家庄", "河北"))),
    _Country("TW", "TWD", 480, "{1}{0}", "志明 淑芬 雅婷", "陳 林 黃", "(02) 2555-0{1:03}",
             "中正路{0}號", "{1:03}", (("臺北", None), ("高雄", None))),
    _Country("IN", "INR", 330, "{0} {1}", "अमित प्रिया राहुल", "शर्मा गुप्ता सिंह", "+91 22 5550{1:03}",
             "{0}, गांधी मार्ग", "400{1:03}", (("मुंबई", "MH"), ("पुणे", "MH"))),
    _Country("SA", "SAR", 180, "{0} {1}", "محمد فاطمة أحمد", "القحطاني الحربي", "+966 11 555{1:03}",
             "شارع الملك فهد {0}", "12{1:03}", (("الرياض", None), ("جدة", "مكة"))),
    _Country("IL", "ILS", 120, "{0} {1}", "יעל דוד שרה", "כהן לוי מזרחי", "03-555{1:03}",
             "רחוב הרצל {0}", "61{0:02}{1:03}", (("תל אביב", None), ("חיפה", None))),
    _Country("CA", "CAD", -210, "{0} {1}", "Chloé Liam Zoë", "Tremblay Roy", "(709) 555-0{1:03}",
             "{0} Duckworth St #{1}", "A1C 5M{0}", (("St. John's", "NL"), ("Gander", "NL"))),
)
_ODD_NAMES = (
    "=SUM(A1:A9) GmbH", "+Plus & Co.", "-Minus, Inc.", "@Home Deluxe", 'Pat "The Cat" O\'Hara', "'Quoted', Ltd.",
    "Back\\slash & Søns", "NULL", "007", "Robert'); DROP TABLE orders;--", "Ünïcode 😀 👩\u200d👩\u200d👧", "Tab\tand\nbreak",
    "E\u0301mile (decomposed)", "<b>Bold</b>", "\u202bשלום\u202c, Ltd.", "Sons; Daughters | Co.",
)
_GOODS = (
    "Queso Cabrales", "Knäckebröd", "Pâté", "Olive Oil", "Gnocchi", "Chai", "Crème brûlée", "豆腐", "=Equals Tea",
    "Jack's Chowder", "Smørrebrød", "Jalapeño, hot", "חלבה", "Müsli", 'Tarte "Tatin"', "Chocolade", "Tofu", "Ikura",
)
_SIZES = ("500 g", "1 kg", "6 x 2 dl", '4" tin', "organic 🌱", "No. 7", "family size", "#2", "XL", "50% fat", "mild", "loose")
_ITEM_COUNTS = (1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6, 8)
_QUANTITIES = (1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 10, 12, 24, 100)
_DISCOUNTS = (0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 50, 100, 100, 150, 200, 125)
"""In thousandths."""
_STATUSES = ("pending", "paid", "shipped", "delivered", "delivered", "delivered", "cancelled")
_PRECISIONS = ("seconds", "seconds", "milliseconds", "microseconds")
# fmt: on


def _products() -> Iterator[tuple[str, str, int, bool]]:
    """The shop's products: id, name, price in 1/10,000, whether sold by weight."""
    for number, (good, size) in enumerate(product(_GOODS, _SIZES), 1):
        price = (99 + number * number * 37 % 9_900) * 100 + (number % 89 if number % 10 == 0 else 0)
        yield f"{number:05}", f"{good}, {size}", price, size == "loose"


_PRODUCTS = tuple(_products())


@lru_cache(maxsize=8192)
def _customer(number: int, moves: int) -> tuple[Order, str, datetime, str]:
    """A customer after `moves` moves; the currency, what clocks showed there at the start, and their zone."""
    who, where = sha256(b"customer %d" % number).digest(), sha256(b"home %d %d" % (number, moves)).digest()
    country = _COUNTRIES[who[0] % len(_COUNTRIES)]
    given, family = country.given_names.split(), country.family_names.split()
    name = country.name.format(given[who[1] % len(given)], family[who[2] % len(family)])
    city, region = country.cities[where[0] % len(country.cities)]
    numbers = where[1] % 100, (where[2] * 256 + where[3]) % 1000
    customer: Order = {"customer_id": f"C{number:05}", "name": _ODD_NAMES[who[3] // 16] if who[4] < 24 else name}
    _nullable(customer, "email", f"{country.code.lower()}{number}@example.com", who[5])
    _nullable(customer, "phone", country.phone.format(who[6] % 100, who[7]), who[8])
    customer["address"] = address = {"street": country.street.format(*numbers), "city": city}
    _nullable(address, "region", region, where[4])
    _nullable(address, "postal_code", country.postal_code.format(*numbers), where[5])
    address["country"] = country.code
    ahead = country.utc_minutes
    zone = f"{'-' if ahead < 0 else '+'}{abs(ahead) // 60:02}:{abs(ahead) % 60:02}" if ahead else "Z"
    return customer, country.currency, _START + timedelta(minutes=ahead), zone


def _nullable(record: Order, field: str, value: str | None, chance: int) -> None:
    """Of 256 chances, 24 leave the field out, 24 and a missing value make it null."""
    if chance >= 24:
        record[field] = None if chance < 48 else value


def orders(count: int, seed: int = 0) -> Iterator[Order]:
    """`count` valid orders, each later than the one before. Orders share their customers' dicts: copy to change."""
    draw = Random(seed).random
    for index in range(count):
        level = int(draw() * min(_CUSTOMER_LEVELS, max(3, index.bit_length() - 2)))
        number = int((1 + draw()) * (1 << level))
        customer, currency, start, zone = _customer(number, (index + number * 997) // _ORDERS_BETWEEN_MOVES)
        after = timedelta(0, index * _SECONDS_BETWEEN_ORDERS, int(draw() * 36_000_000))
        moment = (start + after).isoformat(timespec=_PRECISIONS[int(draw() * len(_PRECISIONS))])
        items, cents = [], 0
        for line_number in range(1, _ITEM_COUNTS[int(draw() * len(_ITEM_COUNTS))] + 1):
            product_id, product_name, price, by_weight = _PRODUCTS[int(draw() * len(_PRODUCTS))]
            quantity = 1 + int(draw() * 5_000) if by_weight else 1_000 * _QUANTITIES[int(draw() * len(_QUANTITIES))]
            discount = _DISCOUNTS[int(draw() * len(_DISCOUNTS))]
            cents += (quantity * price * (1_000 - discount) + 50_000_000) // 100_000_000
            items.append(
                {
                    "line_number": line_number,
                    "product_id": product_id,
                    "product_name": product_name,
                    "quantity": quantity / 1_000 if by_weight else quantity // 1_000,
                    "unit_price": price / 10_000,
                    "discount": discount / 1_000,
                }
            )
        shipping = max(0, int(draw() * 5_000) - 1_000)
        yield {
            "order_id": f"{seed}-{index + 1:09}",
            "order_date": moment + zone,
            "status": _STATUSES[int(draw() * len(_STATUSES))],
            "currency": currency,
            "customer": customer,
            "items": items,
            "shipping_cost": shipping / 100,
            "total_amount": (cents + shipping) / 100,
        }


class Defect(NamedTuple):
    says: str
    damage: Callable[[bytes], bytes]
    """Makes the JSON text of a valid order one that breaks the contract."""
    lines_only: bool = False
    """Whether a document with such an order is not JSON."""


def _value(field: str, value: str) -> Callable[[bytes], bytes]:
    """Gives the first `field` the JSON text `value`, in which `\\g<1>` is the old one, without its quotes."""
    pattern = re.compile(rb'"%s":"?([^",}]*)"?' % field.encode())
    return lambda line: pattern.sub(rb'"%s":%s' % (field.encode(), value.encode("latin-1")), line, count=1)


def _append(member: str) -> Callable[[bytes], bytes]:
    return lambda line: line[:-1] + b"," + member.encode() + b"}"


def _name(start: bytes) -> Callable[[bytes], bytes]:
    return lambda line: line.replace(b'"name":"', b'"name":"' + start, 1)


def _a_cent_more(line: bytes) -> bytes:
    start, total = line[:-1].rsplit(b":", 1)
    return start + b":" + orjson.dumps((round(float(total) * 100) + 1) / 100) + b"}"


_SAMPLE = b'{"line_number":1,"product_id":"0","product_name":"Sample","quantity":1,"unit_price":0.0,"discount":0.0}'

DEFECTS = {
    "missing_field": Defect("no currency", lambda line: re.sub(rb'"currency":"...",', b"", line, count=1)),
    "unknown_field": Defect("a member `coupon` the contract does not know", _append('"coupon":"WELCOME"')),
    "text_for_number": Defect('a quantity in quotes, as "2"', _value("quantity", r'"\g<1>"')),
    "true_for_number": Defect("true as a quantity", _value("quantity", "true")),
    "impossible_date": Defect("ordered on February 30", _value("order_date", '"2024-02-30T12:00:00Z"')),
    "date_without_zone": Defect("a local order_date", _value("order_date", '"2024-06-01T12:00:00"')),
    "unknown_status": Defect('the status "lost"', _value("status", '"lost"')),
    "lower_case_currency": Defect('the currency "eur"', _value("currency", '"eur"')),
    "total_mismatch": Defect("a total_amount of one cent too much", _a_cent_more),
    "no_items": Defect("an empty list of items", lambda line: re.sub(rb'"items":\[.*\],"sh', b'"items":[],"sh', line)),
    "negative_quantity": Defect("a quantity below 0", _value("quantity", r"-\g<1>")),
    "duplicate_line_number": Defect(
        "two items with the line_number 1", lambda line: line.replace(b'"items":[', b'"items":[' + _SAMPLE + b",", 1)
    ),
    "money_out_of_bounds": Defect("a shipping_cost of 1,000,000,000,000", _value("shipping_cost", "1000000000000")),
    "too_many_decimals": Defect("a unit_price of 9.99999", _value("unit_price", "9.99999")),
    "huge_integer": Defect("a quantity of more than 64 bits", _value("quantity", "123456789012345678901234567890")),
    "control_character": Defect("a name that starts with \\u0000", _name(rb"\u0000")),
    "lone_surrogate": Defect("a name that starts with \\ud800, half a character", _name(rb"\ud800")),
    "deep_nesting": Defect("a member of 2,000 arrays in each other", _append('"nested":' + "[" * 2000 + "]" * 2000)),
    "not_a_number": Defect("a shipping_cost of NaN", _value("shipping_cost", "NaN"), lines_only=True),
    "latin_1": Defect("a name in Latin-1, not UTF-8", _name("José ".encode("latin-1")), lines_only=True),
    "broken_line": Defect(
        "a line that ends at its items", lambda line: line[: line.index(b'"items"')], lines_only=True
    ),
}
"""Every way in which an order is made invalid, in the order in which they take turns."""


def generate(
    count: int, seed: int = 0, invalid_ratio: float = 0.0, fmt: str = "jsonl"
) -> Iterator[tuple[bytes, str | None]]:
    """`count` orders as JSON texts without line breaks, each with the name of its defect, or None if it is valid."""
    defects = [name for name, defect in DEFECTS.items() if fmt == "jsonl" or not defect.lines_only]
    invalid, made = round(invalid_ratio * count), 0
    for number, order in enumerate(orders(count, seed), 1):
        line = orjson.dumps(order)
        if number * invalid // count == made:
            yield line, None
        else:
            name = defects[made % len(defects)]
            made += 1
            yield DEFECTS[name].damage(line), name


def write(
    path: Path,
    count: int = 1_000,
    seed: int = 0,
    *,
    invalid_ratio: float = 0.0,
    fmt: str = "jsonl",
    gzipped: bool = False,
    advance: Callable[[int], object] = lambda orders: None,
) -> Counter[str]:
    """Write the orders to `path`, whole or not at all (to `STDOUT` as they come); how often each defect was made.

    `fmt` is "jsonl", an order a line, or "json", one array. `advance` hears of every block how many orders it had.
    """
    before, between, after = (b"[\n", b",\n", b"\n]\n") if fmt == "json" else (b"", b"\n", b"\n" if count else b"")
    made: Counter[str] = Counter()
    records = generate(count, seed, invalid_ratio, fmt)
    with _whole_file(path) as file, gzip.GzipFile("", "wb", 6, file, 0) if gzipped else nullcontext(file) as sink:
        while block := list(islice(records, _BLOCK)):
            sink.write(before + between.join(line for line, _ in block))
            before = between
            made.update(defect for _, defect in block if defect)
            advance(len(block))
        sink.write(after if count else before + after)
    return made


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets the name `path` when it is complete and is gone when anything, Ctrl-C too, came between."""
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:].rstrip('.')}; --help shows examples.\n")


def _number(kind: type, low: int, high: int) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low:,} to {high:,}")
        return number

    return parse


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    examples = """\
examples:
  python src/generate_data.py                                       1,000 orders in build/data/orders.jsonl
  python src/generate_data.py --orders 200000 --out big.jsonl       about 128 MB
  python src/generate_data.py --invalid-ratio 0.05 --seed 7         other orders; 50 of the 1,000 are invalid
  python src/generate_data.py --format json --gzip                  one array in build/data/orders.json.gz
  python src/generate_data.py --orders 3 --out -                    to the terminal or a pipe
"""
    defects = "".join(
        f"  {name:<23}{defect.says}{' (jsonl only)' * defect.lines_only}\n" for name, defect in DEFECTS.items()
    )
    parser = _Parser(
        description="Write reproducible orders: the same arguments give the same bytes.",
        epilog=f"{examples}\ndefects, which the invalid orders have in turn:\n{defects}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--orders", metavar="N", type=_number(int, 0, MAX_ORDERS), default=1_000, help="how many (default: 1000)")
    add(
        "--seed", metavar="S", type=_number(int, 0, MAX_SEED), default=0, help="another seed, other orders (default: 0)"
    )
    add("--format", choices=FORMATS, default="jsonl", help="one array, or an order a line (default: jsonl)")
    add("--gzip", action="store_true", help="compress what is written")
    ratio = "share of the orders that break the contract, 0 to 1 (default: 0)"
    add("--invalid-ratio", metavar="R", type=_number(float, 0, 1), default=0.0, help=ratio)
    out = "file to write, - for stdout (default: build/data/orders.FORMAT)"
    add("--out", metavar="PATH", type=Path, help=out)
    options = parser.parse_args(arguments)
    options.out = options.out or Path(f"build/data/orders.{options.format}{'.gz' * options.gzip}")
    if options.out != STDOUT and options.out.exists() and not options.out.is_file():
        parser.error(f"argument --out: {options.out} is not a file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 where the file cannot be written, 2 for bad arguments (raised), 130 after Ctrl-C."""
    options = _arguments(arguments)
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("Orders", total=options.orders)
            made = write(
                options.out,
                options.orders,
                options.seed,
                invalid_ratio=options.invalid_ratio,
                fmt=options.format,
                gzipped=options.gzip,
                advance=lambda orders: progress.advance(task, orders),
            )
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return 130
    except OSError as exc:
        print(f"Cannot write {options.out}: {exc.strerror}.", file=sys.stderr)
        return 1
    counts = ", ".join(f"{times:,} {name}" for name, times in made.items())
    size = "" if options.out == STDOUT else f", {options.out.stat().st_size:,} bytes"
    invalid = f"{made.total():,} invalid" + (f" ({counts})" if counts else "")
    print(f"{options.out}: {options.orders:,} orders, {invalid}{size}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
