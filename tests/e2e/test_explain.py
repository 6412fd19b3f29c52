"""What explain, rejects, status and logs print on the embedded AWS, deployed with the real Terraform."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.common.batch import printable
from pipeline.run import runs
from tests.e2e.conftest import Pipeline, event_of, wait_for
from tests.e2e.northwind import LINES

Command = Callable[..., tuple[int, str]]
BAD = LINES[1].replace(b'"country":"DE"', b'"country":"Germany"')
NAME = "odd [red]name[red] + %20.jsonl"


def explained(command: Command, what: str) -> dict[str, Any]:
    status, out = command("explain", what, "--json")
    assert status == 0, out
    explanation: dict[str, Any] = json.loads(out)
    return explanation


def steps(explanation: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in explanation["executions"][-1]["steps"]}


def test_explain_of_a_key_shows_its_newest_version(pipeline: Pipeline, command: Command) -> None:
    failed = pipeline.run(b"[", "explained.json").upload
    outcome = pipeline.run(b"[" + b",".join([*LINES[:20], LINES[0], BAD]) + b"]", "explained.json")
    event = event_of(outcome.upload, size=1)
    starter = pipeline.place.outputs()["function_names"]["starter"]
    pipeline.place.client("lambda").invoke(FunctionName=starter, Qualifier="live", Payload=event)

    explanation = explained(command, outcome.upload.key)
    assert (explanation["batch_id"], explanation["outcome"]) == (outcome.upload.batch_id, "partly rejected")
    assert explanation["balance"]["counts"] == {
        "received": 22,
        "valid": 21,
        "rejected": 1,
        "superseded": 1,
        "published": 20,
    }
    assert [event["started"] for event in explanation["heard"]] == [True, False], "the second event is a duplicate"
    assert [(one["batch_id"], one["state"]) for one in explanation["versions"]] == [
        (outcome.upload.batch_id, "published"),
        (failed.batch_id, "failed"),
    ]
    assert steps(explanation) == dict.fromkeys(
        ("PlanChunks", "ProcessChunks", "Write", "AnyRejects", "NotifyRejects", "Published"), "succeeded"
    )
    assert explanation["executions"][0]["steps"][1]["inside_untold"], (
        "the embedded AWS now shows the states inside a Map: update docs/reference/json-output.md"
    )
    assert {group["pointer"]: group["count"] for group in explanation["rejects"]["groups"]} == {
        "/customer/address/country": 1,
        "": 1,
    }
    assert {output["table"] for output in explanation["outputs"]} == {"orders", "customers", "items", "rejects"}

    explanation = explained(command, failed.batch_id)
    assert (explanation["outcome"], explanation["executions"][0]["error"]) == ("failed", "MalformedDocumentError")
    assert steps(explanation)["ProcessChunks"] == "caught"
    assert "Write" in explanation["executions"][0]["not_reached"]
    assert explanation["actions"][0]["sentence"].startswith("Correct the file")


def test_a_failure_of_the_pipeline_is_explained_with_the_command_that_repairs_it(
    pipeline: Pipeline, command: Command
) -> None:
    iam, function = pipeline.place.client("iam"), pipeline.place.outputs()["function_names"]["write"]
    before = iam.get_role_policy(RoleName=function, PolicyName="permissions")["PolicyDocument"]
    denied = {"Effect": "Deny", "Action": ["s3:*"], "Resource": "*"}
    document = json.dumps({**before, "Statement": [*before["Statement"], denied]})
    iam.put_role_policy(RoleName=function, PolicyName="permissions", PolicyDocument=document)
    try:
        outcome = pipeline.run(LINES[0], NAME)
    finally:
        iam.put_role_policy(RoleName=function, PolicyName="permissions", PolicyDocument=json.dumps(before))
    batch_id = outcome.upload.batch_id
    status, out = command("explain", outcome.upload.key)
    assert status == 0
    assert out.startswith("FAILED")
    assert f"incoming/orders/{NAME}" in out, "markup is text"
    assert "Write  caught" in out
    assert f"pipeline replay {batch_id} --apply --target local" in out
    assert f"pipeline logs {batch_id} --target local" in out
    status, logs = command("logs", batch_id)
    assert (status, "write failed" in logs, f"error={outcome.error}" in logs) == (0, True, True)
    assert printable("".join(logs.split("\n"))) == "".join(logs.split("\n"))
    wait_for(lambda: "usd" in json.dumps(explained(command, batch_id)["executions"][0]["cost"]), "the cost")
    assert command("replay", batch_id, "--apply")[0] == 0
    explanation = explained(command, f"{batch_id}-replay-1")
    assert (explanation["outcome"], len(explanation["executions"])) == ("published", 2)


def test_rejected_values_are_hidden_without_show_values(pipeline: Pipeline, command: Command) -> None:
    outcome = pipeline.run(b"\n".join([*LINES[:30], BAD]), "hidden.jsonl")
    status, out = command("rejects", outcome.upload.batch_id)
    assert (status, "not_an_allowed_value at /customer/address/country" in out) == (0, True)
    assert "Germany" not in out
    assert "Germany" in command("rejects", outcome.upload.key, "--show-values")[1]


def test_explain_distinguishes_a_queued_event_from_one_that_was_never_sent(
    pipeline: Pipeline, command: Command
) -> None:
    s3, bucket = pipeline.place.s3(), pipeline.place.outputs()["ingest_bucket"]
    path = pipeline.folder / "lonely.json"
    path.write_bytes(LINES[0])
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    configuration.pop("ResponseMetadata", None)  # type: ignore[misc]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        uploaded = runs.upload(pipeline.place, path, "orders")
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)  # type: ignore[arg-type]
    assert explained(command, uploaded.key)["outcome"] == "not started"
    starter = pipeline.place.outputs()["function_names"]["starter"]
    arn = f"arn:aws:lambda:eu-central-1:000000000000:function:{starter}:live"
    message = {
        "requestContext": {"functionArn": arn, "condition": "RetriesExhausted"},
        "requestPayload": json.loads(event_of(uploaded, size=1)),
        "responsePayload": {"errorType": "TransientError", "errorMessage": "AWS returned SlowDown."},
    }
    queue = pipeline.place.outputs()["on_failure_queue_url"]
    pipeline.place.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    explanation = explained(command, uploaded.key)
    assert (explanation["outcome"], explanation["queued"][0]["error"]) == (
        "waiting",
        "TransientError: AWS returned SlowDown.",
    )
    assert "pipeline redrive" in command("status")[1]
    assert command("redrive", "--apply")[0] == 0
    assert pipeline.end_of(uploaded).published
    assert explained(command, uploaded.key)["outcome"] == "published"


@pytest.mark.parametrize("what", ["x.jsonl", "orders-" + "0" * 32, "incoming/orders/none.json"])
def test_explain_of_an_unknown_name_exits_with_2(command: Command, what: str) -> None:
    assert command("explain", what) == (2, "")
