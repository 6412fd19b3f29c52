"""Deploying what was reviewed. Destroying: prod by its name only, from half a deployment too, with a look at what is
left that neither overlooks nor accuses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID

from pipeline import console as show
from pipeline.deploy import build, deploy, targets
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import Lines
from pipeline.deploy.workspace import StateFile, Workspace
from pipeline.errors import CliError, UsageError

NAME = "shop-dev"
LOG_QUERIES = deploy._log_queries
"""The real one; moto has no saved queries."""
TAGS = {"Project": "shop", "Environment": "dev"}
HALF = StateFile({}, [("aws_sqs_queue", {"arn": f"arn:aws:sqs:eu-west-1:1:{NAME}-on-failure", "tags": TAGS})])


class FakeWorkspace(Workspace):
    """What half an apply left: no outputs."""

    refusal = ""

    stands = HALF
    planned_changes: Any = ()
    applied: tuple[Path | None, ...] = ()

    def init(self) -> None:
        pass

    def state(self) -> StateFile:
        return self.stands

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
    """A deployment in an account of moto's, where AWS forgets at once."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(deploy, "_FORGETTING_SECONDS", 0)
    monkeypatch.setattr(deploy, "_PAUSE_SECONDS", 0)
    for name in ("refusal", "stands", "planned_changes", "applied"):
        monkeypatch.setattr(FakeWorkspace, name, getattr(FakeWorkspace, name))
    monkeypatch.setattr(deploy, "_log_queries", lambda *_: [])
    with mock_aws():
        yield Target("aws", {}, build.aws_runtime("arm64"), FakeWorkspace({}, {}))


def make_queue(name: str, **tags: str) -> None:
    boto3.client("sqs", "eu-west-1").create_queue(QueueName=name, tags=tags)


def make_budget(name: str) -> None:
    limit = {"Amount": "20", "Unit": "USD"}
    budget: Any = {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    boto3.client("budgets", "us-east-1").create_budget(AccountId=DEFAULT_ACCOUNT_ID, Budget=budget)


def test_half_a_deployment_is_destroyed_without_outputs(place: Target) -> None:
    assert deploy.destroy(place) == []


UNTAGGED = StateFile({}, [("aws_sns_topic_policy", {"arn": "arn:aws:sns:eu-west-1:1:shop-dev-alarms"})])


def test_what_can_not_carry_a_tag_is_destroyed_by_what_the_settings_say(
    place: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An apply that failed early, or a destroy that failed late, may leave nothing but such."""
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
    boto3.client("sns", **region).create_topic(Name=f"{NAME}-notices")
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
    make_budget(NAME)
    monkeypatch.setattr(deploy, "_log_queries", lambda _, name: [f"{name}/story-of-a-batch"])

    found = deploy.leftovers(place, NAME)

    services = {*(service for service, *_ in deploy._LISTINGS), "budgets"}
    assert {service: sum(line.startswith(f"{service} ") for line in found) for service in services} == {
        "s3": 1,
        "lambda": 0,
        "iam": 1,
        "logs": 3,
        "sns": 1,
        "sqs": 1,
        "events": 1,
        "scheduler": 2,
        "cloudwatch": 2,
        "budgets": 1,
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


def test_what_only_the_tags_list_is_a_warning(place: Target, capsys: pytest.CaptureFixture[str]) -> None:
    make_queue("forgotten", **TAGS)
    assert deploy.destroy(place) == []
    err = capsys.readouterr().err
    assert "warning" in err
    assert "forgotten" in err


def test_buckets_that_are_kept_say_how_to_delete_them(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorkspace, "refusal", "deleting S3 Bucket (b): BucketNotEmpty: it is not empty")
    with pytest.raises(CliError) as refused:
        deploy.destroy(place)
    assert "force_destroy = true" in refused.value.next_step


def test_another_error_keeps_its_next_step(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorkspace, "refusal", "AccessDenied")
    with pytest.raises(CliError) as refused:
        deploy.destroy(place)
    assert refused.value.next_step == "Run the same again."


def test_half_a_deployment_cannot_be_used_and_says_so(place: Target) -> None:
    with pytest.raises(CliError, match="not complete") as refused:
        _ = place.outputs()
    assert "deploy-infra again" in refused.value.next_step


def test_saved_queries_are_looked_for_in_the_deployments_folder(place: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("logs", "eu-west-1")
    monkeypatch.setattr(Target, "client", lambda *_: client)
    with Stubber(client) as logs:
        answer = {"queryDefinitions": [{"name": f"{NAME}/memory"}]}
        logs.add_response("describe_query_definitions", answer, {"queryDefinitionNamePrefix": f"{NAME}/"})
        assert LOG_QUERIES(place, NAME) == [f"{NAME}/memory"]


def test_who_may_not_see_budgets_can_destroy(
    place: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = deploy._pages

    def refusing(place: Target, service: str, operation: str, **arguments: Any) -> Any:
        if service == "budgets":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
        return pages(place, service, operation, **arguments)

    monkeypatch.setattr(deploy, "_pages", refusing)
    assert deploy.destroy(place) == []
    assert "budgets can't be seen" in capsys.readouterr().err


# --- Who hears of it ---


@pytest.fixture
def topics(place: Target) -> dict[str, str]:
    """The topics of notices and alarms, as outputs name them."""
    sns = boto3.client("sns", "eu-west-1")
    names = {"topic_arn": "notices", "alarms_topic_arn": "alarms"}
    return {output: sns.create_topic(Name=f"{NAME}-{name}")["TopicArn"] for output, name in names.items()}


def test_that_nobody_subscribes_is_said_but_for_the_embedded_aws(
    place: Target, topics: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notices, alarms = deploy.untold(place, topics)
    assert notices.startswith("nobody subscribes to notices: set notification_email")
    assert topics["alarms_topic_arn"] in alarms
    monkeypatch.setattr(deploy, "_pages", lambda *_, **__: [{"Subscriptions": []}])
    assert deploy.untold(replace(place, name="local"), topics) == []


def test_who_has_not_confirmed_is_named(place: Target, topics: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS gives such a subscription this in place of its ARN; moto takes each for confirmed."""
    subscribe = boto3.client("sns", "eu-west-1").subscribe
    for arn in topics.values():
        subscribe(TopicArn=arn, Protocol="email", Endpoint="somebody@example.org")
    assert deploy.untold(place, topics) == []
    pages = deploy._pages

    def pending(place: Target, service: str, operation: str, **arguments: Any) -> Any:
        for page in pages(place, service, operation, **arguments):
            for one in page["Subscriptions"]:
                one["SubscriptionArn"] = "PendingConfirmation"
            yield page

    monkeypatch.setattr(deploy, "_pages", pending)
    monkeypatch.delenv("CI", raising=False)
    notices, alarms = deploy.untold(place, topics)
    assert notices.startswith("somebody@example.org gets no notices until the link in AWS's mail is followed")
    assert alarms.startswith("somebody@example.org gets no alarms until")
    monkeypatch.setenv("CI", "true")
    assert deploy.untold(place, topics)[0].startswith("somebody at example.org gets no notices until")
    assert deploy._who("https://events.example.org/secret") == "a subscriber"


# --- what was reviewed ---

ADDED = [{"address": "aws_sns_topic.a", "change": {"actions": ["create"], "after": {"name": "a"}}}]


@pytest.fixture
def deployable(place: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The same with all outputs, and nothing to build."""
    monkeypatch.setattr(build, "build", lambda _: [])
    outputs = dict.fromkeys(targets._NEEDED, "x")
    monkeypatch.setattr(FakeWorkspace, "stands", StateFile(outputs, HALF.resources))
    monkeypatch.setattr(FakeWorkspace, "planned_changes", ADDED)
    return place


def test_what_was_reviewed_is_applied_as_it_was_planned(deployable: Target) -> None:
    digest = deploy.planned(deployable).digest
    deploy.deploy(deployable, digest)
    assert FakeWorkspace.applied == (Path("plan"),)


def test_anything_else_than_what_was_reviewed_is_not_applied(
    deployable: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = deploy.planned(deployable).digest
    monkeypatch.setattr(FakeWorkspace, "planned_changes", [])
    with pytest.raises(CliError, match="not what was reviewed") as refused:
        deploy.deploy(deployable, digest)
    assert "make plan" in refused.value.next_step
    assert FakeWorkspace.applied == ()


def test_without_a_review_a_deploy_plans_and_applies_at_once(deployable: Target) -> None:
    deploy.deploy(deployable)
    assert FakeWorkspace.applied == (None,)


# --- prod ---

PROD = StateFile({}, [("aws_sqs_queue", {"tags": {"Project": "shop", "Environment": "prod"}})])


@pytest.fixture
def prod(place: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(FakeWorkspace, "stands", PROD)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return place


@pytest.mark.parametrize(("confirmation", "said"), [("", "nobody has typed"), ("shop-dev", "shop-dev is not its name")])
def test_prod_is_not_destroyed_without_its_name(prod: Target, confirmation: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"shop-prod is production, and {said}") as refused:
        deploy.destroy(prod, confirmation)
    assert refused.value.next_step.endswith("make destroy-infra CONFIRM=shop-prod")


def test_prod_is_destroyed_by_its_name(prod: Target) -> None:
    assert deploy.destroy(prod, "shop-prod") == []


@pytest.mark.parametrize(("typed", "destroyed"), [("shop-prod", True), ("yes", False), ("", False)])
def test_somebody_at_a_terminal_is_asked(
    prod: Target, monkeypatch: pytest.MonkeyPatch, typed: str, destroyed: bool
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(show, "ask", lambda _: typed)
    if destroyed:
        assert deploy.destroy(prod) == []
    else:
        with pytest.raises(UsageError, match="nothing was destroyed"):
            deploy.destroy(prod)


def test_on_the_embedded_aws_nothing_is_guarded(prod: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "_empty_buckets", lambda _: None)
    local = Target("local", {"AWS_ENDPOINT_URL": "x", "AWS_CA_BUNDLE": "x"}, prod.runtime, prod.workspace)
    monkeypatch.setattr(Target, "account", lambda _: "1")
    monkeypatch.setattr(deploy, "_wait_for_nothing", lambda *_: [])
    assert deploy.destroy(local) == []
