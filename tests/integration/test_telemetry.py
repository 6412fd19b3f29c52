"""Logs and metrics: one JSON line at the start and at the end of a step, and no values of records."""

import json
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions.common import telemetry
from functions.common.errors import EmptyFileError, TooManyRejectsError
from functions.record_failure import index as record_failure
from tests import harness
from tests.unit.orders import customer, lines, order

Lines = Callable[[], list[dict[str, Any]]]
SECRET = "s3cr3t-Zoë"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """The lines that were written since the last call. All of them must be JSON."""
    monkeypatch.setenv(
        "POWERTOOLS_SERVICE_NAME", f"test-{uuid.uuid4()}"
    )  # a logger with the same name keeps its stream
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    telemetry.logger.cache_clear()
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    telemetry.logger.cache_clear()


def test_metrics_do_not_accumulate_if_they_are_off(logged: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a file of another dataset in the same process causes a warning."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dataset in ("orders", "web_visits"):
            telemetry.count(dataset, {"RecordsReceived": 1})
    assert logged() == []
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    telemetry.count("orders", {"RecordsRejected": 2})
    (line,) = logged()
    assert "RecordsReceived" not in line


def test_a_step_logs_its_start_and_end(logged: Lines) -> None:
    with telemetry.step("validate", "orders-1", chunk=3) as outcome:
        (start,) = logged()
        outcome["received"] = 7
    (end,) = logged()
    assert (start["message"], start["level"], start["batch_id"], start["chunk"]) == (
        *("validate started", "INFO", "orders-1", 3),
    )
    assert "milliseconds" not in start
    assert (end["message"], end["level"], end["batch_id"], end["chunk"]) == ("validate ended", "INFO", "orders-1", 3)
    assert end["received"] == 7
    assert isinstance(end["milliseconds"], int)
    assert 0 <= end["milliseconds"] < 60_000
    assert start["timestamp"].endswith("+0000"), "times are UTC"


def test_a_pipeline_error_is_logged_in_one_line_without_a_stack_trace(logged: Lines) -> None:
    with pytest.raises(EmptyFileError), telemetry.step("write", "orders-1"):
        raise EmptyFileError("The file has no record.")
    _, end = logged()
    assert (end["message"], end["level"], end["batch_id"]) == ("write failed", "ERROR", "orders-1")
    assert (end["error"], end["cause"]) == ("EmptyFileError", "The file has no record.")
    assert "exception" not in end


def test_any_other_failure_has_its_stack_trace(logged: Lines) -> None:
    with pytest.raises(ZeroDivisionError), telemetry.step("write", "orders-1"):
        _ = 1 // 0
    _, end = logged()
    assert (end["message"], end["level"], end["error"]) == ("write failed", "ERROR", "ZeroDivisionError")
    assert "Traceback" in end["exception"]


def test_metrics_are_lines_with_their_dataset(logged: Lines) -> None:
    telemetry.count("orders", {"RecordsPublished": 3, "RecordsRejected": 1})
    telemetry.count("visits", {"FilesFailed": 1})
    first, second = logged()
    assert (first["dataset"], first["RecordsPublished"], first["RecordsRejected"]) == ("orders", [3.0], [1.0])
    (description,) = first["_aws"]["CloudWatchMetrics"]
    assert description["Namespace"] == "test"
    assert {(metric["Name"], metric["Unit"]) for metric in description["Metrics"]} == {
        ("RecordsPublished", "Count"),
        ("RecordsRejected", "Count"),
    }
    assert second["dataset"] == "unknown", "producers choose the names of folders, and each would be a metric"
    assert not {"RecordsPublished", "RecordsRejected"} & second.keys(), "it contains the numbers of another call"


def test_no_log_line_contains_record_values(aws: None, logged: Lines) -> None:
    secretive = customer(name=SECRET, customer_id=SECRET, phone=SECRET)
    valid = [order(order_id=f"{SECRET}{number}", customer=secretive) for number in range(10)]
    rejected = order(order_id=SECRET, customer=secretive, total_amount=0.5)
    harness.run(lines([*valid, rejected, valid[0]]))
    with pytest.raises(TooManyRejectsError):
        harness.run(lines([*valid, rejected, rejected, rejected]) + SECRET.encode())
    written = logged()
    assert {line.get("message") for line in written} >= {
        "validate ended",
        "transform ended",
        "write ended",
        "write failed",
    }
    assert SECRET not in json.dumps(written, ensure_ascii=False)


def test_each_step_of_a_batch_logs_its_counts(aws: None, logged: Lines) -> None:
    batch = harness.run(lines([*(order(order_id=str(number)) for number in range(10)), {}]))
    ends = {line["message"]: line for line in logged() if line.get("message", "").endswith("ended")}
    assert {name: line["batch_id"] for name, line in ends.items()} == dict.fromkeys(
        ("validate ended", "transform ended", "write ended"), batch.batch_id
    )
    assert [ends["validate ended"][name] for name in ("received", "valid", "rejected")] == [11, 10, 1]
    assert ends["transform ended"]["rows"] == {"orders": 10, "customers": 10, "items": 20}
    assert [ends["write ended"][name] for name in ("published", "superseded")] == [10, 0]


def test_rejects_are_counted_by_reason_once_for_a_published_file(aws: None, logged: Lines) -> None:
    orders = [order(order_id=str(number)) for number in range(30)]
    batch = harness.run(lines([*orders, {}, {}, order(total_amount=0.5)]))
    harness.run_steps(batch)
    assert reasons(logged()) == [("missing_field", [2.0]), ("total_mismatch", [1.0])]


def test_rejects_of_a_refused_file_are_counted_by_reason_too(aws: None, logged: Lines) -> None:
    with pytest.raises(TooManyRejectsError):
        harness.run(lines([order(), {}, {}]))
    written = logged()
    assert reasons(written) == [("missing_field", [2.0])]
    assert not [line for line in written if "RecordsRejected" in line], "the account is that of published files"


def reasons(written: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
    """Each counted reason with its number. The reason must be a dimension in addition to the dataset."""
    counted = [line for line in written if "RejectsByReason" in line]
    for line in counted:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert [set(names) for names in directive["Dimensions"]] == [{"service", "dataset", "reason"}]
    return [(line["reason"], line["RejectsByReason"]) for line in counted]


def test_metrics_count_a_published_and_a_failed_batch_once(aws: None, logged: Lines) -> None:
    batch = harness.run(lines([order()]))
    harness.run_steps(batch)
    failed = {"batch": batch.to_input(), "execution": "x", "failure": {"Error": "E", "Cause": "c"}}
    record_failure.handler(failed)
    record_failure.handler(failed)
    metrics = [line for line in logged() if "_aws" in line]
    assert [line["RecordsPublished"] for line in metrics if "RecordsPublished" in line] == [[1.0]]
    assert [line["FilesFailed"] for line in metrics if "FilesFailed" in line] == [[1.0]]
