"""The handlers on moto with events of AWS: what each handler starts, writes, returns and raises."""

import json
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from functions.common import executions, s3_utils
from functions.common.batch import Batch, batch_id_for
from functions.common.causes import plain_cause
from functions.common.errors import ReconciliationError, SourceMissingError, TransientError, UnknownDatasetError
from functions.common.workdir import workdir
from functions.record_failure import index as record_failure
from functions.starter import index as starter
from functions.transform import index as transform
from functions.validate import index as validate
from tests import harness
from tests.harness import INGEST, PROCESSED
from tests.unit.orders import lines, order

pytestmark = pytest.mark.usefixtures("aws")

EVENTS = Path(__file__).parent / "events"


def event(name: str) -> dict[str, Any]:
    """A real payload."""
    content: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return content


# --- starter ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine() -> str:
    """The state machine, which only takes executions; its ARN."""
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/x"
    arn: str = boto3.client("stepfunctions").create_state_machine(
        name="test", definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', roleArn=role
    )["stateMachineArn"]
    assert arn == harness.ENVIRONMENT["STATE_MACHINE_ARN"]
    return arn


def started_by(machine: str) -> dict[str, Batch]:
    """The batches that executions were started for, by the execution's name."""
    client = boto3.client("stepfunctions")
    found = client.list_executions(stateMachineArn=machine)["executions"]
    return {
        each["name"]: Batch.from_input(
            json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        )
        for each in found
    }


def s3_put(encoded_key: str, version_id: str | None, name: str = "s3_put") -> dict[str, Any]:
    """S3's event of one object."""
    made = event(name)
    created = made["Records"][0]["s3"]["object"]
    created["key"] = encoded_key
    if version_id is None:
        del created["versionId"]
    else:
        created["versionId"] = version_id
    return made


def test_the_starter_names_the_execution_after_the_version(machine: str) -> None:
    source = harness.upload(b"x" * 2_500_000, "a b+c%20d é日.jsonl")
    sent = s3_put(event("s3_put")["Records"][0]["s3"]["object"]["key"], source.version_id)
    assert starter.handler(sent) == {"started": 1, "known": 0, "ignored": 0}
    head = s3_utils.storage().head(INGEST, source.key, source.version_id)
    assert head is not None
    batch_id = batch_id_for("orders", INGEST, "incoming/orders/a b+c%20d é日.jsonl", source.version_id)
    (name, batch), *others = started_by(machine).items()
    assert not others
    assert (name, batch.batch_id, batch.dataset, batch.revision) == (batch_id, batch_id, "orders", 1)
    assert (batch.source.key, batch.source.version_id) == (source.key, source.version_id)
    assert (batch.source.size, batch.source.etag) == (2_500_000, head["ETag"].strip('"'))
    assert batch.source.sequencer == "0000000000000055AED6DCD90281E5".rjust(32, "0")
    assert batch.ingested_at == f"{head['LastModified']:%Y-%m-%dT%H:%M:%SZ}", "not the time of the event"
    assert (batch.chunk_bytes, batch.last_chunk) == (1_000_000, 2)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("incoming/orders/a+b.json", "incoming/orders/a b.json"),
        ("incoming/orders/a%2Bb.json", "incoming/orders/a+b.json"),
        ("incoming/orders/a%2520b.json", "incoming/orders/a%20b.json"),
        ("incoming/orders/%252B%2B.json", "incoming/orders/%2B+.json"),
        ("incoming/orders/../%3D%26%3F%23.json", "incoming/orders/../=&?#.json"),
        ("incoming/orders/%F0%9F%98%80%E2%80%AE.json", "incoming/orders/😀\u202e.json"),
    ],
)
def test_keys_are_decoded_once(encoded: str, key: str, machine: str) -> None:
    source = harness.upload(b"[]", key.removeprefix("incoming/orders/"))
    starter.handler(s3_put(encoded, source.version_id))
    (batch,) = started_by(machine).values()
    assert (batch.source.key, batch.source.version_id, batch.source.size) == (key, source.version_id, 2)


def test_each_record_is_handled_and_folder_markers_are_skipped(machine: str) -> None:
    assert starter.handler(event("s3_several_records")) == {"started": 3, "known": 0, "ignored": 0}
    batches = {batch.source.key: batch for batch in started_by(machine).values()}
    assert {key: batch.dataset for key, batch in batches.items()} == {
        "incoming/orders/first.jsonl": "orders",
        "incoming/no-such-dataset/second.json": "unknown",
        "incoming/third.json": "unknown",
    }


def test_a_version_that_is_gone_is_started_from_its_event(machine: str) -> None:
    starter.handler(s3_put("incoming/orders/gone.jsonl", "never-was"))
    (batch,) = started_by(machine).values()
    assert (batch.source.size, batch.source.etag) == (1024, "d41d8cd98f00b204e9800998ecf8427e")
    assert batch.ingested_at == "2026-01-02T03:04:05Z"
    with pytest.raises(SourceMissingError, match=r"gone\.jsonl"):
        harness.run_steps(batch)


def test_a_version_under_a_delete_marker_is_started_and_read(machine: str) -> None:
    source = harness.upload(lines([order()]))
    s3_utils.client().delete_object(Bucket=INGEST, Key=source.key)
    starter.handler(s3_put(source.key, source.version_id))
    (batch,) = started_by(machine).values()
    assert harness.run_steps(batch)["published"] == 1


def test_an_object_of_an_unversioned_bucket_has_the_version_null(machine: str) -> None:
    starter.handler(s3_put("incoming/orders/x.json", None))
    (batch,) = started_by(machine).values()
    assert batch.source.version_id == "null"


def test_the_test_event_starts_nothing(machine: str) -> None:
    assert starter.handler(event("s3_test_event")) == {"started": 0, "known": 0, "ignored": 0}
    assert started_by(machine) == {}


def test_the_same_event_again_starts_nothing_new(machine: str) -> None:
    sent = s3_put("incoming/orders/x.json", harness.upload(b"[]", "x.json").version_id)
    starter.handler(deepcopy(sent))
    starter.handler(deepcopy(sent))
    assert len(started_by(machine)) == 1


def started(code: str, status: int = 400) -> dict[str, int]:
    """Handle an event for whose StartExecution AWS returns an error."""
    with Stubber(executions.client()) as stubber:
        stubber.add_client_error("start_execution", service_error_code=code, http_status_code=status)
        return starter.handler(s3_put("incoming/orders/x.json", "v"))


def test_an_execution_that_has_run_is_known() -> None:
    assert started("ExecutionAlreadyExists") == {"started": 0, "known": 1, "ignored": 0}


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("ServiceUnavailable", 503)])
def test_a_throttled_start_is_transient(code: str, status: int) -> None:
    with pytest.raises(TransientError, match=f"^StartExecution orders-[0-9a-f]{{32}}: AWS returned {code}"):
        started(code, status)


@pytest.mark.parametrize("code", ["AccessDeniedException", "StateMachineDoesNotExist", "InvalidName"])
def test_any_other_refusal_is_an_error_that_lambda_delivers_again(code: str) -> None:
    with pytest.raises(ClientError, match=code):
        started(code)


# --- validate, transform ----------------------------------------------------------------------------------------------


def test_validate_stages_its_files_and_the_counts_last(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    upload, put_bytes = s3_utils.Storage.upload, s3_utils.Storage.put_bytes
    monkeypatch.setattr(s3_utils.Storage, "upload", lambda *a: written.append(Path(a[3]).name) or upload(*a))
    monkeypatch.setattr(s3_utils.Storage, "put_bytes", lambda *a: written.append(Path(a[2]).name) or put_bytes(*a))
    batch = harness.plan(harness.upload(lines([order(), {}])))
    assert validate.handler({"batch": batch.to_input(), "chunk": 0}) == {"chunk": 0}
    assert sorted(written[:-1]) == ["records.parquet", "rejected.jsonl"]
    assert written[-1] == "counts.json"
    assert harness.keys() == sorted(batch.staging_key(0, name) for name in written)
    counts = json.loads(harness.get(batch.staging_key(0, "counts.json")))
    assert counts == {
        "chunk": 0,
        "chunk_bytes": batch.chunk_bytes,
        "position_kind": "byte",
        "received": 2,
        "valid": 1,
        "rejected": 1,
        "rejected_by_reason": {"missing_field": 1},
        "records_by_version": {"1": {"valid": 1, "rejected": 1}},
        "drift": [],
        "control_totals": {"total_amount": "293.4800", "line_total": "261.10"},
        "received_bytes": len(lines([order(), {}])) - 2,
        "unreadable_bytes": 0,
        "diagnosis": "",
    }


def test_transform_stages_one_part_per_table() -> None:
    batch = harness.plan(harness.upload(lines([order()])))
    sent = {"batch": batch.to_input(), "chunk": 0}
    validate.handler(sent)
    assert transform.handler(sent) == {"chunk": 0}
    parts = {batch.staging_key(0, f"{table}.parquet") for table in ("orders", "customers", "items")}
    assert parts < set(harness.keys())


def test_a_repeated_chunk_writes_the_same_bytes() -> None:
    batch = harness.plan(harness.upload(lines([order(), {}, order(total_amount=1)])))
    attempts = []
    for _ in range(2):
        validate.handler({"batch": batch.to_input(), "chunk": 0})
        transform.handler({"batch": batch.to_input(), "chunk": 0})
        attempts.append({key: harness.get(key) for key in harness.keys("")})
    assert attempts[0] == attempts[1]


def test_a_source_that_is_deleted_before_it_is_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.let_missing_be_gone(monkeypatch)
    batch = harness.plan(harness.upload(lines([order()])))
    s3_utils.client().delete_object(Bucket=INGEST, Key=batch.source.key, VersionId=batch.source.version_id)
    with pytest.raises(SourceMissingError) as caught:
        validate.handler({"batch": batch.to_input(), "chunk": 0})
    assert str(caught.value).startswith(f"{batch.source.uri} does not exist: ")


def test_a_chunk_whose_records_have_expired_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.let_missing_be_gone(monkeypatch)
    batch = harness.plan(harness.upload(lines([order()])))
    with pytest.raises(ReconciliationError, match=r"Chunk 0 has no records\.parquet in staging"):
        transform.handler({"batch": batch.to_input(), "chunk": 0})


def test_an_unknown_dataset_fails_with_the_list_of_datasets() -> None:
    batch = harness.plan(harness.upload(b"[]", "x.json", "incoming/no-such-dataset/"))
    with pytest.raises(UnknownDatasetError, match="there are contracts for: orders"):
        validate.handler({"batch": batch.to_input(), "chunk": 0})


def test_keys_of_all_kinds_are_processed() -> None:
    for name in ("a b+c%20d.jsonl", "../../x.jsonl", "é 日本 😀.JSONL", f"{'x' * 1_000}.jsonl"):
        batch = harness.run(lines([order()]), name[-(1024 - len("incoming/orders/")) :])
        assert harness.manifest(batch)["counts"]["published"] == 1, name


# --- the work folder --------------------------------------------------------------------------------------------------


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate /tmp."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_no_step_leaves_anything_in_tmp(tmp: Path) -> None:
    harness.run(lines([order(), order(order_id="2"), order()]))
    with pytest.raises(UnknownDatasetError):
        validate.handler({"batch": event("record_failure_state")["batch"] | {"dataset": "unknown"}, "chunk": 0})
    assert list(tmp.iterdir()) == []


def test_the_files_of_a_killed_invocation_are_removed_and_others_are_kept(
    tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/02/[$LATEST]0123abcd")
    for name in ("pipeline-0123abcd-killed", "pipeline-4567-other", "else"):
        (tmp / name).mkdir()
        (tmp / name / "file").write_bytes(b"x")
    with workdir() as folder:
        assert list(folder.iterdir()) == []
        assert {path.name for path in tmp.iterdir()} == {folder.name, "pipeline-4567-other", "else"}
    assert not folder.exists()


# --- record_failure ---------------------------------------------------------------------------------------------------


@pytest.fixture
def sent_notifications() -> Any:
    """The notifications that the topic received, as (subject, message)."""
    boto3.client("sns").create_topic(Name="test")
    topic = sns_backends[DEFAULT_ACCOUNT_ID][harness.REGION].topics[harness.ENVIRONMENT["TOPIC_ARN"]]
    return lambda: [(subject, message) for _, message, subject, *_ in topic.sent_notifications]


@pytest.fixture
def history() -> Iterator[Stubber]:
    """The execution's history that record_failure reads for an event from EventBridge."""
    with Stubber(executions.client()) as stubber:
        yield stubber


STATE = event("record_failure_state")
BATCH = Batch.from_input(STATE["batch"])
RECORD_KEY = BATCH.failure_key(STATE["execution"])


def recorded() -> dict[str, Any]:
    """The failure record, which is one line: Athena reads one object per line."""
    line = harness.get(RECORD_KEY)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    content: dict[str, Any] = json.loads(line)
    return content


def test_a_failure_of_the_state_machine_is_recorded_and_described() -> None:
    notification = record_failure.handler(STATE)
    assert recorded() == {
        "failure_version": 1,
        "dataset": "orders",
        "batch_id": BATCH.batch_id,
        "execution": STATE["execution"],
        "status": "FAILED",
        "error": "EncodingError",
        "cause": "The document is not UTF-8 at byte 10.",
        "next_step": "Save the file as UTF-8 without a byte order mark and upload it again.",
        "remedy": "upload",
        "published": False,
        "rejects": None,
        "notified_by": None,
        "source": {**STATE["batch"]["source"], "corrects": ""},
        "ingested_at": BATCH.ingested_at,
    }
    assert notification["subject"] == "orders: a file was not published (EncodingError)"
    for part in (
        "s3://test-ingest/incoming/orders/a b é日.jsonl was not published.",
        "EncodingError: The document is not UTF-8 at byte 10.",
        "Next: Save the file as UTF-8",
        f"s3://{PROCESSED}/{RECORD_KEY}",
        BATCH.batch_id,
    ):
        assert part in notification["message"]
    assert "Traceback" not in notification["message"]
    assert "stackTrace" not in notification["message"]


def test_a_failure_is_recorded_once() -> None:
    first = record_failure.handler(STATE)
    before = harness.get(RECORD_KEY)
    later = deepcopy(STATE) | {"failure": {"Error": "States.Timeout", "Cause": "later"}}
    record_failure.handler(later)
    assert harness.get(RECORD_KEY) == before
    assert record_failure.handler(STATE) == first
    assert harness.keys() == [RECORD_KEY]


def test_the_record_names_the_rejects() -> None:
    s3_utils.storage().put_bytes(PROCESSED, BATCH.rejected_key, b"{}\n")
    notification = record_failure.handler(STATE)
    assert recorded()["rejects"] == f"s3://{PROCESSED}/{BATCH.rejected_key}"
    assert f"Rejected records: s3://{PROCESSED}/{BATCH.rejected_key}" in notification["message"]


def test_a_key_cannot_add_lines_to_a_notification() -> None:
    sent = deepcopy(STATE)
    sent["batch"]["source"]["key"] = "incoming/orders/x.json was published.\n\nNext: pay here\u202e"
    message = record_failure.handler(sent)["message"]
    assert "\n\nNext: pay here" not in message
    assert "\u202e" not in message


def test_a_manifest_outranks_a_later_failure() -> None:
    s3_utils.storage().put_bytes(PROCESSED, BATCH.manifest_key, b"{}")
    notification = record_failure.handler(STATE)
    assert (recorded()["published"], recorded()["next_step"][:20]) == (True, "No action is needed.")
    assert notification["subject"] == "orders: a file was published, but a step after that failed (EncodingError)"
    assert "Next: No action is needed" in notification["message"]


def test_a_bucket_that_cannot_be_read_is_transient() -> None:
    with Stubber(s3_utils.client()) as stubber:
        stubber.add_client_error("head_object", service_error_code="503", http_status_code=503)
        with pytest.raises(TransientError):
            record_failure.handler(STATE)


def event_at(number: int, kind: str, **details: Any) -> dict[str, Any]:
    return {"timestamp": "2026-01-02T03:05:05Z", "type": kind, "id": number, "previousEventId": number - 1, **details}


def task(number: int, name: str, outcome: str) -> list[dict[str, Any]]:
    """The last events of a task that publishes a notification, newest first. A caught failure leaves its state, too."""
    common = {"resourceType": "sns", "resource": "publish"}
    details = common if outcome == "TaskSucceeded" else {**common, "error": "SNS.AuthorizationErrorException"}
    return [
        event_at(number + 1, "TaskStateExited", stateExitedEventDetails={"name": name}),
        event_at(number, outcome, **{f"{outcome[0].lower()}{outcome[1:]}EventDetails": details}),
    ]


ENDED = [
    event_at(32, "ExecutionFailed", executionFailedEventDetails={}),
    event_at(31, "FailStateEntered", stateEnteredEventDetails={"name": "Failed"}),
]
RECORDED_ONLY = [
    event_at(28, "TaskStateExited", stateExitedEventDetails={"name": "RecordFailure"}),
    event_at(27, "TaskSucceeded", taskSucceededEventDetails={"resourceType": "lambda", "resource": "invoke"}),
]


@pytest.mark.parametrize(
    ("events", "is_notified"),
    [
        pytest.param([*ENDED, *task(29, "NotifyFailure", "TaskSucceeded"), *RECORDED_ONLY], False, id="notified"),
        pytest.param(
            [*ENDED, *task(29, "NotifyFailure", "TaskFailed"), *RECORDED_ONLY], True, id="notification not sent"
        ),
        pytest.param([*ENDED, *task(29, "NotifyRejects", "TaskFailed")], True, id="notification of rejects not sent"),
        pytest.param([*ENDED, *RECORDED_ONLY], True, id="ended before the notification"),
        pytest.param([], True, id="no history"),
    ],
)
def test_the_event_from_eventbridge_notifies_a_failure_only_if_nobody_was_notified(
    events: list[dict[str, Any]], is_notified: bool, sent_notifications: Any, history: Stubber
) -> None:
    sent = event("execution_failed")
    history.add_response(
        "get_execution_history",
        {"events": events},
        {
            "executionArn": sent["detail"]["executionArn"],
            "reverseOrder": True,
            "maxResults": 20,
            "includeExecutionData": False,
        },
    )
    notification = record_failure.handler(sent)
    assert sent_notifications() == ([(notification["subject"], notification["message"])] if is_notified else [])
    assert recorded()["notified_by"] == ("record_failure" if is_notified else "state_machine")
    assert recorded()["error"] == "States.Runtime"


def test_the_event_from_eventbridge_does_not_overwrite_a_record_of_the_state_machine(
    sent_notifications: Any, history: Stubber
) -> None:
    record_failure.handler(STATE)
    before = recorded()
    history.add_response("get_execution_history", {"events": []})
    record_failure.handler(event("execution_failed"))
    assert recorded() == before | {"notified_by": "record_failure"}
    assert len(sent_notifications()) == 1


@pytest.mark.parametrize("recorded_before", [False, True])
def test_an_event_that_eventbridge_delivers_twice_is_notified_once(
    recorded_before: bool, sent_notifications: Any, history: Stubber
) -> None:
    if recorded_before:
        record_failure.handler(STATE)
    history.add_response("get_execution_history", {"events": []})
    for _ in range(3):
        record_failure.handler(event("execution_failed"))
    assert len(sent_notifications()) == 1


def test_a_notification_that_failed_is_sent_by_the_next_delivery(sent_notifications: Any, history: Stubber) -> None:
    for _ in range(2):
        history.add_response("get_execution_history", {"events": []})
    with Stubber(record_failure._sns()) as topic:
        topic.add_client_error("publish", service_error_code="Throttling", http_status_code=400)
        with pytest.raises(TransientError):
            record_failure.handler(event("execution_failed"))
    assert (recorded()["notified_by"], sent_notifications()) == (None, [])
    record_failure.handler(event("execution_failed"))
    assert (recorded()["notified_by"], len(sent_notifications())) == ("record_failure", 1)


@pytest.mark.parametrize(
    ("name", "status", "error", "cause"),
    [
        ("execution_failed", "FAILED", "States.Runtime", "An error occurred while executing the state 'Write'"),
        ("execution_timed_out", "TIMED_OUT", "States.Timeout", "The execution ran longer than"),
        ("execution_aborted", "ABORTED", "ExecutionAborted", "Someone stopped the execution."),
        ("execution_aborted_with_words", "ABORTED", "Größe\nfalsch", "stopped by hand: wrong file"),
    ],
)
def test_aborted_and_timed_out_executions_are_recorded_and_notified(
    name: str, status: str, error: str, cause: str, sent_notifications: Any, history: Stubber
) -> None:
    history.add_response("get_execution_history", {"events": []})
    record_failure.handler(event(name))
    found = recorded()
    assert (found["status"], found["error"]) == (status, error)
    assert found["cause"].startswith(cause)
    assert found["source"] == {**STATE["batch"]["source"], "corrects": ""}
    ((subject, message),) = sent_notifications()
    assert subject.startswith("orders: a file was not published (")
    assert (len(subject) < 100, subject.isascii(), subject.isprintable()) == (True, True, True), "SNS refuses others"
    assert cause in message


def test_a_history_that_cannot_be_read_is_transient(sent_notifications: Any, history: Stubber) -> None:
    history.add_client_error("get_execution_history", service_error_code="ThrottlingException", http_status_code=400)
    with pytest.raises(TransientError, match="GetExecutionHistory: AWS returned ThrottlingException"):
        record_failure.handler(event("execution_failed"))
    assert sent_notifications() == []


def test_a_topic_that_throttles_is_transient(history: Stubber) -> None:
    history.add_response("get_execution_history", {"events": []})
    with Stubber(record_failure._sns()) as stubber:
        stubber.add_client_error("publish", service_error_code="Throttling", http_status_code=400)
        with pytest.raises(TransientError, match="Publish: AWS returned Throttling"):
            record_failure.handler(event("execution_timed_out"))


@pytest.mark.parametrize("error", ["E" * 300, "Ünïcode", "two\nlines", "\x00", ""])
def test_sns_accepts_the_subject(error: str) -> None:
    sent = deepcopy(STATE) | {"failure": {"Error": error, "Cause": "x"}}
    subject = record_failure.handler(sent)["subject"]
    assert (len(subject) < 100, subject.isascii(), subject.isprintable()) == (True, True, True), subject


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ('{"errorMessage": "Plain.", "errorType": "EmptyFileError", "stackTrace": ["File"]}', "Plain."),
        ('{"errorMessage": "RequestId: 1 Error: Task timed out after 900.00 seconds"}', "RequestId: 1 Error: Task t"),
        ('{"errorType": "Runtime.ExitError"}', '{"errorType": "Runtime.ExitError"}'),
        ("not JSON", "not JSON"),
        ('["a"]', '["a"]'),
        ("null", "null"),
        ("", ""),
        ("x" * 5_000, "x" * 2_000),
    ],
)
def test_the_message_of_a_cause_is_kept(cause: str, sentence: str) -> None:
    assert plain_cause(cause).startswith(sentence)
    assert len(plain_cause(cause)) <= 2_000


@pytest.mark.parametrize("given", ["{}", '{"dataset": "orders"}', "null", "[]", None])
def test_an_execution_that_the_starter_did_not_start_is_notified_too(
    given: str | None, sent_notifications: Any, history: Stubber
) -> None:
    history.add_response("get_execution_history", {"events": []})
    sent = event("execution_failed")
    sent["detail"]["input"] = given
    record_failure.handler(sent)
    name = sent["detail"]["name"]
    assert harness.keys() == [f"failures/unknown/{name}/{name}.json"]
    ((subject, _),) = sent_notifications()
    assert subject.startswith("unknown: a file was not published (")
