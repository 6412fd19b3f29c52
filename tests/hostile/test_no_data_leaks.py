"""Record values appear only in tables and rejects, never in logs, notifications, results, errors or manifests.

Logs, execution histories, notifications and manifests are stored longer than the data, and read by more people.
"""

import gzip
import json
import logging
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from functions.common import telemetry
from functions.common.contract import Rule
from functions.common.errors import ContractError, NoValidRecordsError
from functions.transform import index as transform
from functions.validate import index as validate
from tests import harness
from tests.hostile.outcome_check import Outcome, execute
from tests.unit.orders import CONTRACT, Order, item, order

pytestmark = pytest.mark.slow

WORD, DIGITS = "Mk7Zqx", "731957"
"""No id, hash, date, count or source line has these; every value of every record here has one of them."""

MAY_HOLD = ("rejected/", "tables/", "processed/")
MAY_HOLD_STAGED = ("/rejected.jsonl", ".parquet")


def marked(**changes: Any) -> Order:
    """An order in which every string and number is a marker."""
    address = dict.fromkeys(("street", "city", "region", "postal_code"), f"{WORD} street") | {"country": "DE"}
    person = {"customer_id": f"{WORD}-C", "name": f"{WORD} name", "email": f"{WORD}@example.com", "phone": DIGITS}
    made = order(
        order_id=f"{WORD}-1",
        customer={**person, "address": address},
        items=[item(product_id=f"{WORD}-P", product_name=f"{WORD} product", quantity=731957, unit_price=731957.1)],
        shipping_cost=731957.5,
    )
    return {**made, **changes}


def text(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record, ensure_ascii=False).encode() for record in records)


ONE = text(marked())
MANY = text(*(marked(order_id=f"{WORD}-{number}") for number in range(60)))
DEEP = b'{"order_id": "Mk7Zqx", "x": ' + b"[" * 300 + b'"Mk7Zqx"' + b"]" * 300 + b"}"

BAD_LINES = {
    "enum": text(marked(status=WORD), marked(currency=WORD)),
    "wrong types": text(marked(order_id=731957), marked(shipping_cost=WORD), marked(items=WORD), WORD, 731957, [WORD]),
    "date": text(marked(order_date=f"{WORD}-01-01"), marked(order_date="2024-02-30T73:19:57Z")),
    "unknown names": text(marked(**{WORD: 1}), marked(**{f"{WORD}/~\n{WORD}": WORD}), {WORD: {WORD: [WORD]}}),
    "unknown name inside": text(marked(customer={WORD: WORD}), marked(items=[{WORD: WORD}])),
    "a very long name": text(marked(**{WORD * 20_000: 1})),
    "rule": text(marked(total_amount=731957.25), marked(items=[item(product_name=WORD)] * 2)),
    "money": text(marked(shipping_cost=731957731957731), marked(total_amount=731957.123456)),
    "NUL and control characters": text(marked(order_id=f"{WORD}\0"), marked(order_id=f"\x1b{WORD}")),
    "too long": text(marked(order_id=WORD * 30)),
    "broken JSON": b"\n".join([ONE[:-5], ONE + b"Mk7Zqx", b"Mk7Zqx", b'{"Mk7Zqx" 1}', b"{'Mk7Zqx': 1}"]),
    "encodings": b"\n".join([ONE.replace(b" name", b"\xe9"), ONE.replace(b" name", rb"\ud800"), b"\xffMk7Zqx"]),
    "numbers": b"\n".join([ONE.replace(b"731957.5", number) for number in (b"NaN", b"1e731957", b"731957" * 90)]),
    "deep": DEEP,
    "too large": b'{"order_id": "' + WORD.encode() * 300_000 + b'"}',
    "superseded": ONE.replace(b"-1", b"-39"),
}
ARRAY = b"[" + MANY.replace(b"\n", b",") + b"]"
BAD_FILES = {
    "broken.json": ARRAY.replace(b' name"', b'" Mk7Zqx', 1),
    "unquoted.json": ARRAY.replace(b'"Mk7Zqx street"', b"Mk7Zqx", 1),
    "trailing.json": ARRAY + b" Mk7Zqx 731957",
    "cut.json": ARRAY[:-70],
    "latin.json": ARRAY.replace(b" name", b"\xe9"),
    "one.json": ONE[:-3] + b" Mk7Zqx",
    "one_latin.json": ONE.replace(b" name", b"\xe9"),
    "envelope.json": b'{"records": ' + ARRAY + b"}",  # the message names its member
    "broken_envelope.json": b'{"paging": "Mk7Zqx", "orders": ' + ARRAY + b', "next": 731957',
    "envelope_of_text.json": b'{"orders": "Mk7Zqx"}',
    "table.json": b"Mk7Zqx,731957\n",
    "text.json": b'"Mk7Zqx"',
    "large.json": b'{"order_id": "' + WORD.encode() * 300_000 + b'"}',
    "cut.jsonl.gz": gzip.compress(MANY)[:-9],
    "more.jsonl.gz": gzip.compress(MANY, 0) + b"Mk7Zqx",
    "all_bad.jsonl": b"\n".join(BAD_LINES.values()),
    "too_many_bad.jsonl": MANY + b"\n" + b"\n".join(BAD_LINES.values()),
    "bom.jsonl": b"\xef\xbb\xbf" + MANY,
}


@pytest.fixture
def emitted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[], str]]:
    """Everything that was printed or logged, at any level."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid.uuid4()}")  # a name keeps its first stream
    telemetry.logger.cache_clear()
    with caplog.at_level(logging.INFO):
        yield lambda: "".join([*capfd.readouterr(), caplog.text])
    telemetry.logger.cache_clear()


def everything_but_data(outcome: Outcome, printed: str) -> dict[str, str]:
    """Everything that people without access to customer data can see, by place."""
    found = {
        "logs and metrics": printed,
        "the result, which is in the history and the notification": json.dumps(outcome.result, ensure_ascii=False),
        "the error that Lambda reports": json.dumps(outcome.lambda_error, ensure_ascii=False),
    }
    for key in harness.keys(""):
        head = boto3.client("s3").head_object(Bucket=harness.PROCESSED, Key=key)
        found[f"name and metadata of {key}"] = f"{key} {head['Metadata']} {head['ContentType']}"
        if not key.startswith(MAY_HOLD) and not (key.startswith("staging/") and key.endswith(MAY_HOLD_STAGED)):
            found[key] = without_names(harness.get(key))
    return found


def without_names(content: bytes) -> str:
    """A string, or JSON without its counts of unknown fields, which contain names: see tests/unit/test_versions.py."""
    try:
        data = json.loads(content)
    except ValueError:
        return content.decode()
    return json.dumps({**data, "drift": []}, ensure_ascii=False) if "drift" in data else content.decode()


def check_nothing_leaks(outcome: Outcome, printed: str) -> None:
    for place, content in everything_but_data(outcome, printed).items():
        for marker in (WORD, DIGITS):
            at = content.find(marker)
            assert at < 0, f"{place} contains record values: …{content[max(0, at - 200) : at + 50]}…"
    assert '"message"' in printed, "no output was captured"


def codes_only(reasons: dict[str, int]) -> bool:
    return all(code.isascii() and code.islower() and code.isidentifier() for code in reasons)


def test_the_check_detects_a_leak(aws: None, emitted: Callable[[], str]) -> None:
    outcome = execute(harness.plan(harness.upload(MANY)))
    telemetry.logger().info("a slip", extra={"detail": f"{WORD} name"})
    with pytest.raises(AssertionError, match="logs and metrics contains record values"):
        check_nothing_leaks(outcome, emitted())


@pytest.mark.parametrize("name", BAD_LINES)
def test_the_values_of_a_rejected_record_are_only_in_the_rejects(
    name: str, aws: None, emitted: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_REJECT_RATIO", "1")  # a large record alone is most of the file's bytes
    harness.forget_clients()
    outcome = execute(harness.plan(harness.upload(MANY + b"\n" + BAD_LINES[name])))
    check_nothing_leaks(outcome, emitted())
    assert outcome.lambda_error is None, outcome.lambda_error
    assert any(WORD in json.dumps(reject) or DIGITS in json.dumps(reject) for reject in harness.rejects(outcome.batch))
    assert codes_only(harness.manifest(outcome.batch)["rejected_by_reason"])
    assert codes_only(json.loads(harness.get(outcome.batch.staging_key(0, "counts.json")))["rejected_by_reason"])


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_failed_file_leaks_no_values(name: str, aws: None, emitted: Callable[[], str]) -> None:
    outcome = execute(harness.plan(harness.upload(BAD_FILES[name], name)))
    assert outcome.lambda_error, "the file must fail"
    check_nothing_leaks(outcome, emitted())


@pytest.mark.parametrize("members", ['"Mk7Zqx": "Mk7Zqx", "orders": {}', '"orders": {}, "Mk7Zqx": 731957'])
def test_an_envelope_leaks_only_the_names_of_its_other_members(
    members: str, aws: None, emitted: Callable[[], str]
) -> None:
    envelope = "{" + members.replace("{}", ARRAY.decode()) + "}"
    outcome = execute(harness.plan(harness.upload(envelope.encode(), "envelope.json")))
    assert outcome.lambda_error is None, outcome.lambda_error
    check_nothing_leaks(outcome, emitted())


def test_too_many_rejects_leak_values_only_into_the_sample(
    aws: None, emitted: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_REJECT_BYTES", "5000")
    outcome = execute(harness.plan(harness.upload(MANY + b"\n" + b"\n".join(BAD_LINES.values()))))
    assert outcome.lambda_error
    assert outcome.lambda_error["errorType"] == "RejectVolumeError"
    check_nothing_leaks(outcome, emitted())
    assert WORD in harness.get(outcome.batch.staging_key(0, "rejected.jsonl")).decode()


@pytest.mark.parametrize(
    "sql", ["CAST(customer.name AS INTEGER) > 0", "error(customer.name)", "order_id::DATE < now()"]
)
def test_a_rule_that_fails_on_a_value_does_not_quote_it(
    sql: str, aws: None, emitted: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = (Rule("fails", "/customer/name", sql, "must be a number"),)
    monkeypatch.setattr(validate, "load_contract", lambda *_: replace(CONTRACT, rules=rules))
    outcome = execute(harness.plan(harness.upload(MANY)))
    assert outcome.lambda_error
    assert outcome.lambda_error["errorType"] == NoValidRecordsError.__name__, "the rule must reject the record"
    check_nothing_leaks(outcome, emitted())


@pytest.mark.parametrize("sql", ["CAST(customer.name AS INTEGER)", "error(customer.name)", "customer.name::DATE"])
def test_sql_that_fails_in_transform_does_not_quote_it(
    sql: str, aws: None, emitted: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = f"({CONTRACT.tables[0].sql}) AS orders JOIN records USING (_position)"
    table = replace(CONTRACT.tables[0], sql=f"SELECT orders.* REPLACE ({sql} AS status) FROM {orders}")
    monkeypatch.setattr(transform, "load_contract", lambda *_: replace(CONTRACT, tables=(table, *CONTRACT.tables[1:])))
    outcome = execute(harness.plan(harness.upload(MANY)))
    assert outcome.lambda_error
    assert outcome.lambda_error["errorType"] == ContractError.__name__
    assert "table orders, column status" in outcome.lambda_error["errorMessage"]
    check_nothing_leaks(outcome, emitted())


@pytest.mark.parametrize("name", ["broken.json", "latin.json", "one.json", "one_latin.json", "cut.jsonl.gz"])
def test_the_cause_chain_of_an_error_does_not_quote_values(name: str, aws: None) -> None:
    """No code prints the chain of these errors today, but it would be safe."""
    batch = harness.plan(harness.upload(BAD_FILES[name], name))
    try:
        harness.run_steps(batch)
    except Exception as error:
        formatted = traceback.format_exception(error)
    assert WORD not in "".join(line for part in formatted for line in part.splitlines() if not line.startswith("    "))
