"""Deploys and destroys: Terraform over infra/, with progress, and a look at what is left behind."""

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

_FORGETTING_SECONDS = 90
"""How long AWS may go on listing what is gone."""
_PAUSE_SECONDS = 5

_KEPT = (
    "The buckets hold data and are kept, as they are where environment is prod. To delete the data too, set "
    "force_destroy = true in infra/terraform.tfvars or, with ENV, in its file in infra/environments/; run make "
    "deploy-infra once, and make destroy-infra again."
)

_GUARDED = "prod"
"""The environment that is not destroyed without its name."""

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
"""Each service that infra/ uses: how it lists what it has, where the names are in its answer, what narrows it."""


def deploy(place: Target, reviewed: str = "") -> dict[str, Any]:
    """Build what is out of date, apply infra/ and answer its outputs.

    With the digest of a plan that was `reviewed`, only what stands in that plan is applied. Raises CliError.
    """
    prepare(place)
    if not reviewed:
        watch("deploying", place.workspace.apply())
        return place.outputs()
    with place.workspace.planned() as (file, content):
        digest = plan.Plan.read(content).digest
        if digest != reviewed:
            raise CliError(
                f"What would change now is not what was reviewed: the plan's digest is {digest}, not {reviewed}.",
                "Look at the plan anew (make plan), and deploy with its digest.",
            )
        watch("deploying", place.workspace.apply(planned=file))
    return place.outputs()


def untold(place: Target, outputs: Mapping[str, Any]) -> list[str]:
    """Who will not hear of notices or alarms: an address that is not confirmed, or on AWS nobody at all.

    https://docs.aws.amazon.com/sns/latest/api/API_Subscription.html
    """
    sentences = []
    for what, topic in (("notices", outputs["topic_arn"]), ("alarms", outputs["alarms_topic_arn"])):
        pages = _pages(place, "sns", "list_subscriptions_by_topic", TopicArn=topic)
        try:
            subscribed = [one for page in pages for one in page["Subscriptions"]]
        except ClientError as refused:  # everything is deployed; that this can't be looked up spoils nothing
            if refused.response["Error"]["Code"] not in _DENIED:
                raise
            sentences.append(f"who hears of {what} can't be seen with these credentials (sns:ListSubscriptionsByTopic)")
            continue
        if not subscribed and place.name == "aws":
            sentences.append(f"nobody subscribes to {what}: set notification_email, or subscribe to {topic}")
        sentences += [
            f"{_who(one['Endpoint'])} gets no {what} until the link in AWS's mail is followed (AWS Notification - "
            "Subscription Confirmation)"
            for one in subscribed
            if one["SubscriptionArn"] == "PendingConfirmation"
        ]
    return sentences


def _who(endpoint: str) -> str:
    """An address that subscribes; the log of a workflow, which more people read, says of it the domain at most."""
    if "CI" not in os.environ:
        return endpoint
    _, at, domain = endpoint.rpartition("@")
    return f"somebody at {domain}" if at else "a subscriber"


def planned(place: Target) -> plan.Plan:
    """What a deploy would change now; nothing is changed, and no lock is taken. Raises CliError."""
    prepare(place)
    with place.workspace.planned() as (_, content):
        return plan.Plan.read(content)


def prepare(place: Target) -> None:
    """See that the credentials are good, build what is out of date, and initialise Terraform. Raises CliError."""
    if place.workspace.chosen.name:
        environments.check_apart()
    place.account()
    build.build(place.runtime)
    place.workspace.init()


def destroy(place: Target, confirmation: str = "") -> list[str]:
    """Destroy all that infra/ made, whole or half; answers what is still there by its name.

    Of prod on AWS only with its name, as `confirmation` or typed. Raises CliError.
    """
    place.account()
    place.workspace.init()
    tags = place.state().tags
    if place.name == "aws" and tags["Environment"] == _GUARDED:
        _confirm(f"{tags['Project']}-{tags['Environment']}", confirmation, place.workspace.chosen.name)
    if place.name == "local":
        _empty_buckets(place)
    try:
        watch("destroying", place.workspace.destroy())
    except CliError as refused:
        if "BucketNotEmpty" not in str(refused):
            raise
        raise CliError(str(refused), _KEPT) from refused
    return _wait_for_nothing(place, tags["Project"], tags["Environment"])


def _confirm(name: str, confirmation: str, environment: str | None) -> None:
    """Raise UsageError where somebody doesn't say that it is this deployment that they mean."""
    if not confirmation and sys.stdin.isatty():
        confirmation = show.ask(f"This destroys {name}, which is production. Type its name to go on")
    if confirmation != name:
        said = f"{confirmation} is not its name" if confirmation else "nobody has typed its name"
        raise UsageError(
            f"{name} is production, and {said}: nothing was destroyed.",
            f"If you mean it: make destroy-infra{f' ENV={environment}' if environment else ''} CONFIRM={name}",
        )


def _empty_buckets(place: Target) -> None:
    """Delete every version, since the provider cannot tell the embedded AWS to delete a key with odd characters."""
    for name in place.state().buckets:
        place.bucket(name).object_versions.delete()


def _wait_for_nothing(place: Target, project: str, environment: str) -> list[str]:
    """What is left by its name, after the time that AWS may need to forget; what is only in the tags is a warning."""

    def left() -> tuple[list[str], list[str]]:
        tags = _tags(place, project)
        tagged = [arn for arn, found in tags.items() if found.get("Environment") == environment]
        others = {f"{project}-{found['Environment']}" for found in tags.values() if "Environment" in found}
        return leftovers(place, f"{project}-{environment}", others), tagged

    named, tagged = wait_for(left, _FORGETTING_SECONDS, _PAUSE_SECONDS, until=lambda found: not any(found))
    if tagged and not named:
        show.step("warning: AWS still lists these by their tags, though no service does by name; it forgets them later")
        for arn in tagged:
            show.step(f"  {arn}")
    return named


def leftovers(place: Target, name: str, others: Iterable[str] = ()) -> list[str]:
    """What services list under the name or the name and a dash; `others` are deployments beside it.

    A deployment called dev-2 begins with dev- too, so that it must be known to be told apart.
    """
    longer = [other for other in others if other.startswith(f"{name}-")]
    listed = [
        (service, found)
        for service, operation, result, narrowing in _LISTINGS
        for found in _pages(place, service, operation, **({narrowing: name} if narrowing else {})).search(result)
    ]
    listed += [("budgets", found) for found in _budgets(place)]
    named = [
        f"{service} {found}"
        for service, found in listed
        if found and _belongs(found, name) and not any(_belongs(found, other) for other in longer)
    ]
    return named + [f"logs {found}" for found in _log_queries(place, name)]


def _log_queries(place: Target, name: str) -> list[str]:
    """The names of its saved log queries, a dozen, so that one answer has them all. The embedded AWS can save none."""
    if place.name == "local":
        return []
    answer = place.client("logs").describe_query_definitions(queryDefinitionNamePrefix=f"{name}/")
    return [query["name"] for query in answer["queryDefinitions"]]


def _budgets(place: Target) -> list[str]:
    """The names of the account's budgets, which many who deploy may not see: then a warning, and none."""
    try:
        pages = _pages(place, "budgets", "describe_budgets", AccountId=place.account())
        return [name for name in pages.search("Budgets[].BudgetName") if name]
    except ClientError as refused:
        if refused.response["Error"]["Code"] not in _DENIED:
            raise
        show.step("warning: budgets can't be seen with these credentials; one that you have set may still be there")
        return []


def _pages(place: Target, service: str, operation: str, **arguments: Any) -> Any:
    return place.client(service).get_paginator(operation).paginate(**arguments)


def _belongs(identifier: str, name: str) -> bool:
    """Whether a name, an ARN, a URL or a log group ends in the name of something of this deployment.

    A database's has underscores for dashes, since Athena takes none.
    """
    last = re.split("[:/]", identifier)[-1].replace("_", "-")
    return last == name or last.startswith(f"{name}-")


def tagged(place: Target, project: str, environment: str) -> list[str]:
    """The ARNs of what carries the tags of a deployment, but for keys, which wait for their deletion with them."""
    return [arn for arn, tags in _tags(place, project).items() if tags.get("Environment") == environment]


def _tags(place: Target, project: str) -> dict[str, dict[str, str]]:
    """The tags of each resource of the project, by its ARN, in all environments."""
    of_project = [{"Key": "Project", "Values": [project]}]
    pages = _pages(place, "resourcegroupstaggingapi", "get_resources", TagFilters=of_project)
    # a key that waits for its deletion keeps its tags for 30 days; its alias is found by name
    found = [one for page in pages for one in page["ResourceTagMappingList"] if ":kms:" not in one["ResourceARN"]]
    return {one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in found}


def watch(what: str, lines: Lines, of: str = "infra/") -> None:
    """Say that it begins and how many resources it was; on a terminal a bar shows how many are done."""
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
    show.step(f"  {done} resources")
