"""Deploying a reviewed plan; destroying production only by its name, or half a deployment; what remains after it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline import console as show
from pipeline.deploy import build, deploy, targets
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import Lines
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.errors import CliError, UsageError

NAME = "shop-dev"
TAGS = {"Project": "shop", "Environment": "dev"}
HALF = StateFile({}, [("aws_sqs_queue", {"arn": f"arn:aws:sqs:eu-west-1:1:{NAME}-on-failure", "tags": TAGS})])


class FakeWorkspace(Workspace):
    """The result of a half-finished apply: no outputs."""

    refusal = ""

    deployed = HALF
    planned_changes: Any = ()
    applied: tuple[Path | None, ...] = ()

    def init(self) -> None:
        pass

    def state(self) -> StateFile:
        return self.deployed

    @contextmanager
    def planned(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        yield Path("plan"), {"resource_changes": self.planned_changes}

    def apply(self, *arguments: str, planned: Path | None = None) -> Lines:
        type(self).applied = (*self.applied, planned)
        yield "Plan: 1 to add, 0 to change, 0 to destroy.\n"

    def destroy(self, *arguments: str) -> Lines:
        if self.refusal:
            raise CliError(self.refusal, "Run the same again.")
        yield "aws_sqs_queue.on_failure: Destruction complete after 1s\n"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A deployment in a moto account, where deleted resources vanish immediately."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(deploy, "_STILL_LISTED_SECONDS", 0)
    monkeypatch.setattr(deploy, "_PAUSE_SECONDS", 0)
    for name in ("refusal", "deployed", "planned_changes", "applied"):
        monkeypatch.setattr(FakeWorkspace, name, getattr(FakeWorkspace, name))
    with mock_aws():
        yield Target("aws", {}, build.aws_runtime("arm64"), FakeWorkspace({}, {}))


def make_queue(name: str, **tags: str) -> None:
    boto3.client("sqs", "eu-west-1").create_queue(QueueName=name, tags=tags)


def test_half_a_deployment_is_destroyed_without_outputs(place: Target) -> None:
    assert deploy.destroy(place) == []


UNTAGGED = StateFile({}, [("aws_sns_topic_policy", {"arn": "arn:aws:sns:eu-west-1:1:shop-dev-alarms"})])


def test_resources_without_tags_are_destroyed_by_the_names_in_the_settings(
    place: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An apply that fails early, or a destroy that fails late, may leave only such resources."""
    monkeypatch.setattr(FakeWorkspace, "state", Workspace.state)
    monkeypatch.setattr(Workspace, "pull", lambda _: UNTAGGED)
    (tmp_path / "terraform.tfvars").write_text('project = "shop"\nenvironment = "prod"\n')
    make_queue(f"{NAME}-on-failure")
    for variables, left in ({"environment": "dev"}, 1), ({"project": "else", "environment": "dev"}, 0):
        there = replace(place, workspace=FakeWorkspace({}, variables, tmp_path))
        assert len(deploy.destroy(there)) == left
    with pytest.raises(UsageError, match="shop-prod is production"):
        deploy.destroy(replace(place, workspace=FakeWorkspace({}, {}, tmp_path)), "no")


def test_leftovers_are_found_by_name_in_every_service(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    region: Any = {"region_name": "eu-west-1"}
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = boto3.client("iam", **region).create_role(RoleName=f"{NAME}-write", AssumeRolePolicyDocument=trust)
    definition = '{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}'
    boto3.client("stepfunctions", **region).create_state_machine(
        name=NAME, definition=definition, roleArn=role["Role"]["Arn"]
    )
    boto3.client("s3", "us-east-1").create_bucket(Bucket=f"{NAME}-ingest-1")
    for group in (f"/aws/lambda/{NAME}-write", f"/aws/vendedlogs/states/{NAME}", "/aws/lambda/other"):
        boto3.client("logs", **region).create_log_group(logGroupName=group)
    boto3.client("sns", **region).create_topic(Name=f"{NAME}-notifications")
    boto3.client("events", **region).put_rule(Name=f"{NAME}-execution-failed", EventPattern="{}")
    make_queue(f"{NAME}-on-failure")
    boto3.client("cloudwatch", **region).put_metric_alarm(
        AlarmName=f"{NAME}-on-failure-queue",
        Namespace="AWS/SQS",
        MetricName="m",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=1,
    )
    kms = boto3.client("kms", **region)
    kms.create_alias(AliasName=f"alias/{NAME}", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    scheduler = boto3.client("scheduler", **region)
    scheduler.create_schedule_group(Name=NAME)
    target = {"Arn": "arn:aws:lambda:eu-west-1:123456789012:function:x", "RoleArn": role["Role"]["Arn"]}
    scheduler.create_schedule(
        Name=f"{NAME}-reconcile",
        GroupName=NAME,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )

    boto3.client("glue", **region).create_database(DatabaseInput={"Name": f"{NAME}_orders".replace("-", "_")})
    boto3.client("cloudwatch", **region).put_dashboard(DashboardName=NAME, DashboardBody='{"widgets": []}')

    found = deploy.leftovers(place, NAME)

    services = {service for service, *_ in deploy._LISTINGS}
    assert {service: sum(line.startswith(f"{service} ") for line in found) for service in services} == {
        "s3": 1,
        "lambda": 0,
        "iam": 1,
        "logs": 2,
        "sns": 1,
        "sqs": 1,
        "events": 1,
        "scheduler": 2,
        "cloudwatch": 2,
        "kms": 1,
        "stepfunctions": 1,
        "glue": 1,
    }


@pytest.mark.parametrize(
    ("queue", "tags", "found"),
    [
        ("shop-dev", {}, True),
        ("shop-dev-on-failure", {}, True),
        ("shop-dev2-on-failure", {}, False),
        ("my-shop-dev-on-failure", {}, False),
        ("shop-dev-2-on-failure", {"Project": "shop", "Environment": "dev-2"}, False),
    ],
)
def test_another_environment_is_not_a_leftover(place: Target, queue: str, tags: dict[str, str], found: bool) -> None:
    make_queue(queue, **tags)
    left = deploy.destroy(place)
    assert [line.rsplit("/", 1)[-1] for line in left] == ([queue] if found else [])


def test_the_error_about_kept_buckets_says_how_to_delete_them(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorkspace, "refusal", "deleting S3 Bucket (b): BucketNotEmpty: it is not empty")
    with pytest.raises(CliError) as refused:
        deploy.destroy(place)
    assert "force_destroy = true" in refused.value.next_step


def test_another_error_keeps_its_next_step(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorkspace, "refusal", "AccessDenied")
    with pytest.raises(CliError) as refused:
        deploy.destroy(place)
    assert refused.value.next_step == "Run the same again."


def test_an_incomplete_deployment_can_not_be_used(place: Target) -> None:
    with pytest.raises(CliError, match="is incomplete") as refused:
        _ = place.outputs()
    assert "deploy-infra again" in refused.value.next_step


# --- who receives notifications ---


@pytest.fixture
def topics(place: Target) -> dict[str, str]:
    """The topics of notifications and alarms, by the name of their output."""
    sns = boto3.client("sns", "eu-west-1")
    names = {"topic_arn": "notifications", "alarms_topic_arn": "alarms"}
    return {output: sns.create_topic(Name=f"{NAME}-{name}")["TopicArn"] for output, name in names.items()}


def test_a_topic_without_subscribers_is_reported_except_on_the_local_emulator(
    place: Target, topics: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notifications, alarms = deploy.subscription_warnings(place, topics)
    assert notifications.startswith("nobody receives notifications: set notification_email")
    assert topics["alarms_topic_arn"] in alarms
    monkeypatch.setattr(deploy, "_pages", lambda *_, **__: SimpleNamespace(search=lambda _: []))
    assert deploy.subscription_warnings(replace(place, name="local"), topics) == []


def test_an_unconfirmed_subscriber_is_named_except_in_ci(
    place: Target, topics: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS returns PendingConfirmation instead of the ARN; moto confirms every subscription."""
    subscribe = boto3.client("sns", "eu-west-1").subscribe
    for arn in topics.values():
        subscribe(TopicArn=arn, Protocol="email", Endpoint="somebody@example.org")
    assert deploy.subscription_warnings(place, topics) == []
    pending = {"SubscriptionArn": "PendingConfirmation", "Endpoint": "somebody@example.org"}
    monkeypatch.setattr(deploy, "_pages", lambda *_, **__: SimpleNamespace(search=lambda _: [pending]))
    monkeypatch.delenv("CI", raising=False)
    notifications, alarms = deploy.subscription_warnings(place, topics)
    assert notifications.startswith("somebody@example.org receives no notifications until the link in AWS's email")
    assert alarms.startswith("somebody@example.org receives no alarms until")
    monkeypatch.setenv("CI", "true")
    assert deploy.subscription_warnings(place, topics)[0].startswith("a subscriber receives no notifications until")


# --- reviewed plans ---

ADDED = [{"address": "aws_sns_topic.a", "change": {"actions": ["create"], "after": {"name": "a"}}}]


@pytest.fixture
def deployable(place: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A place with all outputs, where nothing needs to be built."""
    monkeypatch.setattr(build, "build", lambda _: [])
    outputs = dict.fromkeys(targets._NEEDED, "x")
    monkeypatch.setattr(FakeWorkspace, "deployed", StateFile(outputs, HALF.resources))
    monkeypatch.setattr(FakeWorkspace, "planned_changes", ADDED)
    return place


def test_a_reviewed_plan_is_applied_as_planned(deployable: Target) -> None:
    digest = deploy.planned(deployable).digest
    deploy.deploy(deployable, digest)
    assert FakeWorkspace.applied == (Path("plan"),)


def test_a_plan_that_differs_from_the_reviewed_one_is_not_applied(
    deployable: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = deploy.planned(deployable).digest
    monkeypatch.setattr(FakeWorkspace, "planned_changes", [])
    with pytest.raises(CliError, match="The plan has changed since the review") as refused:
        deploy.deploy(deployable, digest)
    assert "make plan" in refused.value.next_step
    assert FakeWorkspace.applied == ()


def test_without_a_review_deploy_plans_and_applies_at_once(deployable: Target) -> None:
    deploy.deploy(deployable)
    assert FakeWorkspace.applied == (None,)


# --- production ---

PROD = StateFile({}, [("aws_sqs_queue", {"tags": {"Project": "shop", "Environment": "prod"}})])


@pytest.fixture
def prod(place: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(FakeWorkspace, "deployed", PROD)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return place


@pytest.mark.parametrize(
    ("confirmation", "message"), [("", "its name was not given"), ("shop-dev", "shop-dev is not its name")]
)
def test_prod_is_not_destroyed_without_its_name(prod: Target, confirmation: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"shop-prod is production, and {message}") as refused:
        deploy.destroy(prod, confirmation)
    assert refused.value.next_step.endswith("make destroy-infra CONFIRM=shop-prod")


def test_prod_is_destroyed_by_its_name(prod: Target) -> None:
    assert deploy.destroy(prod, "shop-prod") == []


@pytest.mark.parametrize(("typed", "destroyed"), [("shop-prod", True), ("yes", False), ("", False)])
def test_a_user_at_a_terminal_is_asked_for_the_name(
    prod: Target, monkeypatch: pytest.MonkeyPatch, typed: str, destroyed: bool
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(show, "ask", lambda _: typed)
    if destroyed:
        assert deploy.destroy(prod) == []
    else:
        with pytest.raises(UsageError, match="Nothing was destroyed"):
            deploy.destroy(prod)


def test_the_local_emulator_needs_no_confirmation(prod: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "_empty_buckets", lambda _: None)
    local = Target("local", {"AWS_ENDPOINT_URL": "x", "AWS_CA_BUNDLE": "x"}, prod.runtime, prod.workspace)
    monkeypatch.setattr(Target, "account", lambda _: "1")
    for name in ("leftovers", "_tags"):
        monkeypatch.setattr(deploy, name, lambda *_: {})
    assert not deploy.destroy(local)
