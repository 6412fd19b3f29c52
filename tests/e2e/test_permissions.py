"""Each function's role allows its own work and not its neighbour's, as the embedded AWS's IAM sees it."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline.deploy.targets import Target

ACCOUNT = "000000000000"


def as_function(place: Target, function: str, service: str = "s3") -> Any:
    """A client with the role of a function."""
    role = f"arn:aws:iam::{ACCOUNT}:role/{place.outputs()['function_names'][function]}"
    credentials = place.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    make: Any = boto3.client
    return make(
        service,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=place.environment["AWS_REGION"],
        endpoint_url=place.environment["AWS_ENDPOINT_URL"],
        verify=place.environment["AWS_CA_BUNDLE"],
    )


@pytest.mark.parametrize(
    ("function", "bucket", "key", "may_read", "may_write"),
    [
        ("starter", "ingest", "incoming/orders/x", True, False),
        ("starter", "processed", "staging/x", False, False),
        ("validate", "ingest", "incoming/orders/x", True, False),
        ("validate", "processed", "staging/x", False, True),
        ("validate", "processed", "tables/x", False, False),
        ("transform", "ingest", "incoming/orders/x", False, False),
        ("transform", "processed", "staging/x", True, True),
        ("transform", "processed", "manifests/x", False, False),
        ("write", "ingest", "incoming/orders/x", True, False),
        ("write", "processed", "staging/x", True, False),
        ("write", "processed", "manifests/x", True, True),
        ("write", "processed", "tables/x", True, True),
        ("write", "processed", "failures/x", False, False),
        ("record_failure", "processed", "failures/x", True, True),
        ("record_failure", "processed", "manifests/x", True, False),
        ("record_failure", "processed", "tables/x", False, False),
        ("record_run", "processed", "runs/x", False, True),
        ("record_run", "processed", "manifests/x", True, False),
        ("record_run", "processed", "staging/x", False, False),
        ("reconciler", "ingest", "incoming/orders/x", True, False),
        ("reconciler", "processed", "manifests/x", True, False),
        ("reconciler", "processed", "failures/x", True, False),
        ("reconciler", "processed", "tables/x", False, False),
    ],
)
def test_a_role_allows_its_own_work_only(
    place: Target, function: str, bucket: str, key: str, may_read: bool, may_write: bool
) -> None:
    s3, name = as_function(place, function), place.outputs()[f"{bucket}_bucket"]
    version = place.s3().put_object(Bucket=name, Key=key, Body=b"x")["VersionId"]
    named = {"VersionId": version} if bucket == "ingest" else {}  # what came in is read by its version, always
    assert allowed(lambda: s3.get_object(Bucket=name, Key=key, **named)) == may_read
    assert allowed(lambda: s3.put_object(Bucket=name, Key=key, Body=b"y")) == may_write
    assert not allowed(lambda: s3.delete_object(Bucket=name, Key=key)), "no function deletes anything"


@pytest.mark.parametrize("function", ["validate", "transform", "write", "record_failure", "record_run"])
def test_only_starter_and_reconciler_start_executions(place: Target, function: str) -> None:
    step_functions, machine = as_function(place, function, "stepfunctions"), place.outputs()["state_machine_arn"]
    assert not allowed(lambda: step_functions.start_execution(stateMachineArn=machine, name="foreign", input="{}"))


@pytest.mark.parametrize("function", ["starter", "validate", "transform", "write", "record_run", "reconciler"])
def test_only_record_failure_tells_people(place: Target, function: str) -> None:
    topic = place.outputs()["topic_arn"]
    assert not allowed(lambda: as_function(place, function, "sns").publish(TopicArn=topic, Message="x"))


def allowed(call: Any) -> bool:
    try:
        call()
    except ClientError as exc:
        if exc.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException", "AuthorizationError"):
            raise
        return False
    return True
