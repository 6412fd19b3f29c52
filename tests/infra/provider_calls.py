"""The requests of Terraform's provider, read from its log, and the IAM permissions that each needs.

Actions and resources have the names of AWS's Service Authorization Reference. Actions whose name differs from their
operation are listed below.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.infra.iam_decisions import Request

LOGGING = {"TF_LOG_CORE": "JSON", "TF_LOG_PROVIDER": "JSON"}
"""Settings under which Terraform writes the log that `recorded` reads to TF_LOG_PATH."""

PREFIXES = {
    **{name: name.lower() for name in ("Athena", "Budgets", "CloudWatch", "Glue", "IAM", "KMS", "Lambda", "S3")},
    **{name: name.lower() for name in ("Scheduler", "SNS", "SQS")},
    "CloudWatch Logs": "logs",
    "EventBridge": "events",
    "SFN": "states",
}
"""What actions of a service begin with, by the name that the SDK has for it."""

ACTIONS = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbudgetservice.html
    **{
        f"budgets:{verb}{what}": "budgets:ModifyBudget"
        for verb in ("Create", "Delete", "Update")
        for what in ("Budget", "Notification", "Subscriber")
    },
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeNotificationsForBudget": "budgets:ViewBudget",
    "budgets:DescribeSubscribersForNotification": "budgets:ViewBudget",
}
"""Actions that have another name than their operation."""

EVERYWHERE = ("kms:CreateKey", "kms:ListAliases", "logs:DescribeLogGroups", "states:ValidateStateMachineDefinition")
"""Actions that take no resource, or that are about something which has no ARN yet."""

PASSED_TO = {"lambda": "Role", "scheduler": "RoleArn", "states": "roleArn"}
"""The parameter in which each service is passed a role."""

_OF_LAMBDA = re.compile(r"/(function|layer)s/(?:[^/]*:function:)?([^/]+)(?:/versions/(\d+))?")
"""The kind and the name of what a URL of Lambda's is about, and the version of a layer."""


@dataclass(frozen=True)
class Call:
    """One request of the provider."""

    service: str
    """What its actions begin with."""
    operation: str
    resource_type: str
    """The type of Terraform's resource that it was made for."""
    url: str
    params: Mapping[str, Any]

    @property
    def action(self) -> str:
        action = f"{self.service}:{self.operation}"
        return ACTIONS.get(action, action)


def recorded(log: Path) -> Iterator[Call]:
    """The requests in a log, in order, except for GetCallerIdentity, which needs no permission."""
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["@message"] == "HTTP Request Sent" and entry["rpc.service"] != "STS":
                service, url = PREFIXES[entry["rpc.service"]], entry["http.url"]
                params = {} if service == "s3" else _params(entry["http.request.body"])
                yield Call(service, entry["rpc.method"], entry["tf_resource_type"], unquote(url), params)


def _params(body: str) -> dict[str, Any]:
    """The parameters of a JSON or form body, without those in the URL."""
    text = body.strip()
    if text.startswith("{"):
        params: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
        return params
    return dict(parse_qsl(text)) if text.startswith("Action=") else {}


@dataclass(frozen=True)
class Account:
    """The context that IAM has in addition to the request itself."""

    region: str
    account: str
    tags: Mapping[str, str]
    """Those of each existing resource."""
    boundary: str
    """The ARN of the permissions boundary of each existing role."""

    def needs(self, call: Call) -> Iterator[Request]:
        """Every action and resource that a call needs permission for."""
        resources = ("*",) if call.action in EVERYWHERE else tuple(self._resources(call))
        assert resources, f"Add the resources of {call.action} to tests/infra/provider_calls.py: {call}"
        for resource in resources:
            yield Request(call.action, resource, self._context(call))
        if call.action == "kms:CreateKey":  # tagging a key needs an action of its own, on a key that has no ARN yet
            yield Request("kms:TagResource", "*", self._context(call))
        role = call.params.get(PASSED_TO.get(call.service, "")) or call.params.get("Target", {}).get("RoleArn")
        if role:
            yield Request("iam:PassRole", role, {"iam:PassedToService": f"{call.service}.amazonaws.com"})

    def _context(self, call: Call) -> dict[str, str]:
        context: dict[str, str] = {}
        if call.service == "iam":
            context["iam:PermissionsBoundary"] = call.params.get("PermissionsBoundary", self.boundary)
        if call.service == "kms":
            sent = {tag["TagKey"]: tag["TagValue"] for tag in call.params.get("Tags", [])}
            context |= {f"aws:RequestTag/{name}": value for name, value in sent.items()}
            if call.operation != "CreateKey":
                context |= {f"aws:ResourceTag/{name}": value for name, value in self.tags.items()}
        return context

    def _resources(self, call: Call) -> Iterator[str]:
        """The ARNs of a call's resources. IAM requires the action on each of them."""
        params, path = call.params, urlsplit(call.url).path
        named = (params.get(name) for name in ("ResourceARN", "ResourceArn", "resourceArn", "stateMachineArn"))
        if arn := next(filter(None, named), "") or path.partition("/tags/")[2]:
            yield arn
            return
        match call.service:
            case "athena":
                name = params.get("WorkGroup") or f"{self.tags['Project']}-{self.tags['Environment']}"
                yield self._arn("athena", f"workgroup/{name}")
            case "budgets":
                budget = params.get("BudgetName") or params["NewBudget"]["BudgetName"]
                yield f"arn:aws:budgets::{self.account}:budget/{budget}"
            case "cloudwatch" if "Dashboard" in call.operation:
                yield f"arn:aws:cloudwatch::{self.account}:dashboard/{params['DashboardName']}"
            case "cloudwatch":
                yield self._arn("cloudwatch", f"alarm:{params.get('AlarmName', '*')}")
            case "events":
                yield self._arn("events", f"rule/{params.get('Rule') or params['Name']}")
            case "glue":
                yield self._arn("glue", "catalog")
                database = params.get("DatabaseName") or params["Name"]
                yield self._arn("glue", f"database/{database}")
                table = params.get("TableInput", params).get("Name") if "Table" in call.operation else None
                if table := table or params.get("TableName"):
                    yield self._arn("glue", f"table/{database}/{table}")
            case "iam":
                yield f"arn:aws:iam::{self.account}:role/{params['RoleName']}"
            case "kms":
                if name := params.get("AliasName"):
                    yield self._arn("kms", name)
                key = params.get("TargetKeyId") or params["KeyId"]
                yield key if key.startswith("arn:") else self._arn("kms", f"key/{key}")
            case "lambda":
                kind, name, version = _OF_LAMBDA.search(path).groups()  # type: ignore[union-attr]
                yield self._arn("lambda", f"{kind}:{name}{f':{version}' if version else ''}")
            case "logs":
                yield self._arn("logs", f"log-group:{params['logGroupName']}")
            case "s3":
                yield f"arn:aws:s3:::{path.split('/')[1]}"
            case "scheduler":
                kind, name = path.split("/")[1:3]
                group = params.get("GroupName") or dict(parse_qsl(urlsplit(call.url).query)).get("groupName")
                arn = {"schedules": f"schedule/{group}/{name}", "schedule-groups": f"schedule-group/{name}"}
                yield self._arn("scheduler", arn[kind])
            case "sns":
                topic = params.get("TopicArn") or params["SubscriptionArn"].rpartition(":")[0]
                yield topic
            case "sqs":
                yield self._arn("sqs", params["QueueUrl"].rpartition("/")[2])

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
