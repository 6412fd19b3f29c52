"""Deploys and destroys infra/ with Terraform, shows the progress, and finds resources that remain."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from botocore.exceptions import ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline import console as show
from pipeline.deploy import build, environments, plan
from pipeline.deploy.targets import Target
from pipeline.deploy.terraform import Lines
from pipeline.errors import CliError, UsageError
from pipeline.waiting import wait_for

_PLAN = re.compile(r"Plan: (\d+) to add, (\d+) to change, (\d+) to destroy")
_DONE = re.compile(r"(Creation|Modifications|Destruction) complete")

_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError")

_STILL_LISTED_SECONDS = 90
"""How long AWS may still list a deleted resource, in seconds."""
_PAUSE_SECONDS = 5

_BUCKETS_ARE_KEPT = (
    "The buckets hold data, which production keeps. To delete the data too, set force_destroy = true in "
    "infra/terraform.tfvars or, with ENV, in its file in infra/environments/. Run make deploy-infra, then make "
    "destroy-infra again."
)

_GUARDED = "prod"
"""The environment whose destruction needs confirmation by name."""

_LISTINGS = (
    ("s3", "list_buckets", "Buckets[].Name", "Prefix"),
    ("lambda", "list_functions", "Functions[].FunctionName", None),
    ("lambda", "list_layers", "Layers[].LayerName", None),
    ("iam", "list_roles", "Roles[].RoleName", None),
    ("logs", "describe_log_groups", "logGroups[].logGroupName", "logGroupNamePattern"),
    ("sns", "list_topics", "Topics[].TopicArn", None),
    ("sqs", "list_queues", "QueueUrls[]", "QueueNamePrefix"),
    ("events", "list_rules", "Rules[].Name", "NamePrefix"),
    ("scheduler", "list_schedules", "Schedules[].Name", "NamePrefix"),
    ("scheduler", "list_schedule_groups", "ScheduleGroups[].Name", "NamePrefix"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName", "AlarmNamePrefix"),
    ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName", "DashboardNamePrefix"),
    ("kms", "list_aliases", "Aliases[].AliasName", None),
    ("stepfunctions", "list_state_machines", "stateMachines[].name", None),
    ("glue", "get_databases", "DatabaseList[].Name", None),
)
"""How to list the resources of infra/ by service: operation, path to the names, argument that filters by prefix."""


def deploy(place: Target, reviewed: str = "") -> dict[str, Any]:
    """Build outdated zips, apply infra/ and return its outputs.

    With the digest of a `reviewed` plan, apply only if the plan still has that digest. Raises CliError.
    """
    prepare(place)
    if not reviewed:
        watch("deploying", place.workspace.apply())
        return place.outputs()
    with place.workspace.planned() as (file, content):
        digest = plan.TerraformPlan.read(content).digest
        if digest != reviewed:
            raise CliError(
                f"The plan has changed since the review: its digest is {digest}, not {reviewed}.",
                "Review the new plan (make plan), then deploy with its digest.",
            )
        watch("deploying", place.workspace.apply(planned=file))
    return place.outputs()


def subscription_warnings(place: Target, outputs: Mapping[str, Any]) -> list[str]:
    """Return warnings about topics without a subscriber and about unconfirmed subscriptions.

    https://docs.aws.amazon.com/sns/latest/api/API_Subscription.html
    """
    sentences = []
    for what, topic in (("notifications", outputs["topic_arn"]), ("alarms", outputs["alarms_topic_arn"])):
        pages = _pages(place, "sns", "list_subscriptions_by_topic", TopicArn=topic)
        try:
            subscribed = list(pages.search("Subscriptions[]"))
        except ClientError as refused:  # the deployment itself is complete
            if refused.response["Error"]["Code"] not in _DENIED:
                raise
            sentences.append(f"these credentials can't list the subscribers of {what} (sns:ListSubscriptionsByTopic)")
            continue
        if not subscribed and place.name == "aws":
            sentences.append(f"nobody receives {what}: set notification_email, or subscribe to {topic}")
        for one in subscribed:
            if one["SubscriptionArn"] == "PendingConfirmation":
                who = "a subscriber" if "CI" in os.environ else one["Endpoint"]  # a workflow's log has more readers
                sentences.append(
                    f"{who} receives no {what} until the link in AWS's email is followed (AWS Notification - "
                    "Subscription Confirmation)"
                )
    return sentences


def planned(place: Target) -> plan.TerraformPlan:
    """Return the changes that a deploy would make now. Changes nothing and takes no lock. Raises CliError."""
    prepare(place)
    with place.workspace.planned() as (_, content):
        return plan.TerraformPlan.read(content)


def prepare(place: Target) -> None:
    """Check the credentials, build outdated zips and initialise Terraform. Raises CliError."""
    if place.workspace.chosen.name:
        environments.check_apart()
    place.account()
    build.build(place.runtime)
    place.workspace.init()


def destroy(place: Target, confirmation: str = "") -> list[str]:
    """Destroy everything that infra/ created, even if incomplete. Return the remaining resources by name.

    Production on AWS is destroyed only if `confirmation` is its name, or the user types it. Raises CliError.
    """
    place.account()
    place.workspace.init()
    tags = place.state().tags
    project, environment = tags["Project"], tags["Environment"]
    name = f"{project}-{environment}"
    if place.name == "aws" and environment == _GUARDED:
        _confirm(name, confirmation, place.workspace.chosen.name)
    if place.name == "local":
        _empty_buckets(place)
    try:
        watch("destroying", place.workspace.destroy())
    except CliError as refused:
        if "BucketNotEmpty" not in str(refused):
            raise
        raise CliError(str(refused), _BUCKETS_ARE_KEPT) from refused
    others = {f"{project}-{tags['Environment']}" for tags in _tags(place, project).values() if "Environment" in tags}
    return wait_for(
        lambda: leftovers(place, name, others), _STILL_LISTED_SECONDS, _PAUSE_SECONDS, until=lambda left: not left
    )


def _confirm(name: str, confirmation: str, environment: str | None) -> None:
    """Raise UsageError unless `confirmation`, or what the user types, is the deployment's name."""
    if not confirmation and sys.stdin.isatty():
        confirmation = show.ask(f"This destroys {name}, which is production. Type its name to continue")
    if confirmation != name:
        detail = f"{confirmation} is not its name" if confirmation else "its name was not given"
        raise UsageError(
            f"{name} is production, and {detail}. Nothing was destroyed.",
            f"To destroy it: make destroy-infra{f' ENV={environment}' if environment else ''} CONFIRM={name}",
        )


def _empty_buckets(place: Target) -> None:
    """Delete every object version. On the local emulator, the provider fails on keys with special characters."""
    for name in place.state().buckets:
        place.bucket(name).object_versions.delete()


def leftovers(place: Target, name: str, others: Iterable[str] = ()) -> list[str]:
    """Return the resources that services list under `name`, or under `name` and a dash, each after its service.

    Leaves out the resources of `others`: the name of a deployment called dev-2 also begins with dev-.
    """
    longer = [other for other in others if other.startswith(f"{name}-")]
    listed = [
        (service, found)
        for service, operation, result, prefix in _LISTINGS
        for found in _pages(place, service, operation, **({prefix: name} if prefix else {})).search(result)
    ]
    return [
        f"{service} {found}"
        for service, found in listed
        if found and _belongs(found, name) and not any(_belongs(found, other) for other in longer)
    ]


def _pages(place: Target, service: str, operation: str, **arguments: Any) -> Any:
    return place.client(service).get_paginator(operation).paginate(**arguments)


def _belongs(identifier: str, name: str) -> bool:
    """Return whether a name, ARN, URL or log group ends in the name of a resource of this deployment.

    Databases have underscores instead of dashes, since Athena accepts no dash.
    """
    last = re.split("[:/]", identifier)[-1].replace("_", "-")
    return last == name or last.startswith(f"{name}-")


def tagged(place: Target, project: str, environment: str) -> list[str]:
    """Return the ARNs of the resources with the tags of a deployment, except for KMS keys."""
    return [arn for arn, tags in _tags(place, project).items() if tags.get("Environment") == environment]


def _tags(place: Target, project: str) -> dict[str, dict[str, str]]:
    """Return the tags of the project's resources in all environments, by ARN, except for KMS keys."""
    of_project = [{"Key": "Project", "Values": [project]}]
    pages = _pages(place, "resourcegroupstaggingapi", "get_resources", TagFilters=of_project)
    # a KMS key keeps its tags for the 30 days until its deletion, and the listing of aliases finds it by name
    found = [one for one in pages.search("ResourceTagMappingList[]") if ":kms:" not in one["ResourceARN"]]
    return {one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in found}


def watch(what: str, lines: Lines, of: str = "infra/") -> None:
    """Run Terraform to its end. Show a progress bar on a terminal, and then the number of resources."""
    show.step(f"{what} {of}")
    columns = (TextColumn("[dim]·[/dim] {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=show.err, transient=True, disable=not show.err.is_terminal)
    with closing(lines), progress:
        task = progress.add_task(what, total=None)
        done = 0
        for line in lines:
            if plan := _PLAN.search(line):
                progress.update(task, total=sum(map(int, plan.groups())))
            if _DONE.search(line):
                done += 1
                progress.update(task, completed=done)
    show.step(f"  {show.many(done, 'resource')}")
