"""Each function's role allows only that function's calls; the embedded AWS's IAM enforces it.

smoke/test_permissions.py tests the same with IAM's policy simulation, and lists the permissions.
"""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline.deploy.targets import Target
from tests.e2e.smoke.test_permissions import CALLS, FUNCTIONS, OBJECTS

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
    ("function", "bucket", "key", "may_read", "may_write"), [row for row in OBJECTS if row[0] in FUNCTIONS]
)
def test_a_role_allows_its_own_work_only(
    place: Target, function: str, bucket: str, key: str, may_read: bool, may_write: bool
) -> None:
    s3, name = as_function(place, function), place.outputs()[f"{bucket}_bucket"]
    version = place.s3().put_object(Bucket=name, Key=key, Body=b"x")["VersionId"]
    named = {"VersionId": version} if bucket == "ingest" else {}  # incoming objects are always read by version
    assert allowed(lambda: s3.get_object(Bucket=name, Key=key, **named)) == may_read
    assert allowed(lambda: s3.put_object(Bucket=name, Key=key, Body=b"y")) == may_write
    assert not allowed(lambda: s3.delete_object(Bucket=name, Key=key)), "no function deletes anything"


def forbidden(call: str, where: str) -> list[str]:
    """The functions that may not make a call on a resource."""
    return [role for role, *made, may_call in CALLS if made == [call, where] and not may_call]


@pytest.mark.parametrize("function", forbidden("states:StartExecution", "machine"))
def test_only_starter_and_reconciler_start_executions(place: Target, function: str) -> None:
    step_functions, machine = as_function(place, function, "stepfunctions"), place.outputs()["state_machine_arn"]
    assert not allowed(lambda: step_functions.start_execution(stateMachineArn=machine, name="foreign", input="{}"))


@pytest.mark.parametrize("function", forbidden("sns:Publish", "notices"))
def test_only_record_failure_notifies_people(place: Target, function: str) -> None:
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
