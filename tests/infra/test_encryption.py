"""With customer_managed_key on, all stored data uses the key, and roles and services may use it only for their data."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.deploy.terraform import INFRA
from tests.infra.conftest import KEY, Run
from tests.infra.policies import ACCOUNT, FUNCTIONS, HERE, NAME, QUEUE, ROLES, listed, role_policies, statements_of

READ = {"kms:Decrypt"}
WRITE = {"kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"}
LOGS = {"kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"} | WRITE

# The permissions for the key that each action on encrypted data needs, and through which service. Sources:
# AmazonS3/latest/userguide/UsingKMSEncryption.html (uploads in parts decrypt too),
# AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html, sns/latest/dg/sns-key-management.html.
NEEDS: Mapping[str, tuple[str, set[str]]] = {
    "s3:GetObject": ("s3", READ),
    "s3:GetObjectVersion": ("s3", READ),
    "s3:PutObject": ("s3", WRITE),
    "sqs:SendMessage": ("sqs", WRITE),
    "sns:Publish": ("sns", WRITE),
}
WITHOUT_DATA = ("s3:ListBucket", "s3:ListBucketVersions", "s3:AbortMultipartUpload")

# Services that use the key in their own name, by the key's policy: their actions and conditions.
DIRECT = {
    "logs.eu-central-1.amazonaws.com": LOGS,  # AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "cloudwatch.amazonaws.com": WRITE,  # sns/latest/dg/sns-key-management.html, "Enable compatibility …"
    "events.amazonaws.com": {"kms:Decrypt", "kms:GenerateDataKey"},  # SQS's guide, "… event sources from AWS services"
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_exactly_the_key_permissions_that_its_actions_need(plan_with_key: Run, role: str) -> None:
    needed: dict[str, set[str]] = defaultdict(set)
    granted: dict[str, set[str]] = defaultdict(set)
    if role in FUNCTIONS:
        needed["lambda"] = READ  # its environment variables: lambda/latest/dg/configuration-envvars-encryption.html
    for statement in role_policies(plan_with_key)[role]:
        for action in listed(statement["Action"]):
            if action in NEEDS:
                service, actions = NEEDS[action]
                needed[service] = needed[service] | actions
            elif action.startswith("kms:"):
                assert statement["Resource"] == KEY
                [(operator, condition)] = statement["Condition"].items()
                assert (operator, set(condition)) == ("StringEquals", {"kms:ViaService"})
                for via in listed(condition["kms:ViaService"]):
                    granted[via.removesuffix(".eu-central-1.amazonaws.com")].add(action)
            else:
                assert not action.startswith(("s3:", "sqs:", "sns:")) or action in WITHOUT_DATA, (
                    f"Add the key permissions of {action} to NEEDS."
                )
    assert granted == needed, f"local.key_users of infra/encryption.tf differs from the actions of {role}"


@pytest.mark.parametrize("service", DIRECT)
def test_a_service_has_exactly_the_key_permissions_that_it_needs(plan_with_key: Run, service: str) -> None:
    [statement] = [s for s in key_policy(plan_with_key) if s["Principal"] == {"Service": service}]
    assert statement["Effect"] == "Allow"
    assert set(listed(statement["Action"])) == DIRECT[service]


def test_a_service_may_use_the_key_only_for_resources_of_this_deployment(plan_with_key: Run) -> None:
    conditions = {s["Principal"]["Service"]: s["Condition"] for s in key_policy(plan_with_key) if "Condition" in s}
    groups = {group["name"] for group in plan_with_key.planned("aws_cloudwatch_log_group").values()}
    logs = conditions["logs.eu-central-1.amazonaws.com"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"]
    assert set(logs) == {f"arn:aws:logs:{HERE}:log-group:{name}" for name in groups}
    assert conditions["cloudwatch.amazonaws.com"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{HERE}:alarm:{NAME}-*"},
    }
    assert conditions["events.amazonaws.com"] == {"ArnEquals": {"kms:EncryptionContext:aws:sqs:arn": QUEUE}}, (
        "EventBridge passes on neither aws:SourceAccount nor aws:SourceArn: sns/latest/dg/sns-key-management.html"
    )


@pytest.mark.parametrize(
    ("resource", "dependency"),
    [
        ("aws_lambda_function.this", "aws_kms_alias.this"),
        ("aws_s3_bucket_notification.ingest", "aws_kms_alias.this"),
        ("aws_s3_bucket_notification.ingest", "terraform_data.key_in_effect"),
        ("aws_scheduler_schedule.reconcile", "terraform_data.key_in_effect"),
    ],
)
def test_resources_that_use_the_key_depend_on_its_alias(resource: str, dependency: str) -> None:
    """A boundary identifies the key by its alias, and AWS takes minutes to apply a new alias."""
    kind, name = resource.split(".")
    text = "".join(path.read_text() for path in INFRA.glob("*.tf"))
    block = re.search(rf'^resource "{kind}" "{name}" .*?^}}', text, re.MULTILINE | re.DOTALL)
    assert block
    depends = re.search(r"depends_on = \[(.*?)\]", block[0], re.DOTALL)
    assert depends
    assert dependency in depends[1]


def test_only_the_account_administers_the_key(plan_with_key: Run) -> None:
    principals = [s["Principal"] for s in key_policy(plan_with_key)]
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert [p for p in principals if p != root] == [{"Service": service} for service in DIRECT]
    [administration] = [s for s in key_policy(plan_with_key) if s["Principal"] == root]
    assert administration["Action"] == "kms:*", "without it no policy of the account applies to the key"


def test_every_resource_that_stores_data_uses_the_key(plan_with_key: Run) -> None:
    kinds = (
        *("aws_lambda_function", "aws_cloudwatch_log_group", "aws_sns_topic", "aws_sqs_queue"),
        *("aws_s3_bucket_server_side_encryption_configuration", "aws_athena_workgroup"),
    )
    planned = plan_with_key.planned(*kinds)
    assert {address.split(".")[0] for address in planned} == set(kinds)
    assert [address for address, values in planned.items() if keys_of(values) != {KEY}] == []


def test_buckets_use_a_bucket_key(plan_with_key: Run) -> None:
    for values in plan_with_key.planned("aws_s3_bucket_server_side_encryption_configuration").values():
        [rule] = values["rule"]
        [default] = rule["apply_server_side_encryption_by_default"]
        assert (default["sse_algorithm"], rule["bucket_key_enabled"]) == ("aws:kms", True)


def test_the_queue_has_exactly_one_kind_of_encryption(first_plan: Run, plan_with_key: Run) -> None:
    """AWS refuses a queue with both."""
    [without], [queue] = (plan.planned("aws_sqs_queue").values() for plan in (first_plan, plan_with_key))
    assert (without["sqs_managed_sse_enabled"], without["kms_master_key_id"]) == (True, None)
    assert (queue.get("sqs_managed_sse_enabled"), queue["kms_master_key_id"]) == (None, KEY)


def test_the_state_machine_is_encrypted_with_the_key_of_aws(plan_with_key: Run) -> None:
    """With a customer managed key, Step Functions omits the input, which record_failure needs, from its events.

    docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    """
    [machine] = plan_with_key.planned("aws_sfn_state_machine").values()
    assert not machine.get("encryption_configuration")


def test_no_resource_uses_a_key_if_customer_managed_key_is_off(first_plan: Run) -> None:
    assert first_plan.planned("aws_kms_key", "aws_kms_alias") == {}
    named = {address: keys_of(values) for address, values in first_plan.planned().items() if keys_of(values)}
    assert named == {"aws_sns_topic.notices": {"alias/aws/sns"}}
    for role, statements in role_policies(first_plan).items():
        actions = [action for statement in statements for action in listed(statement["Action"])]
        assert not [action for action in actions if action.startswith("kms:")], role


def key_policy(plan: Run) -> list[dict[str, Any]]:
    [key] = plan.planned("aws_kms_key").values()
    return statements_of(key["policy"])


def keys_of(values: object) -> set[str]:
    """The keys that a resource names, in any attribute at any depth."""
    if isinstance(values, list):
        return {key for value in values for key in keys_of(value)}
    if not isinstance(values, dict):
        return set()
    own = {value for name, value in values.items() if name.startswith("kms_") and value and isinstance(value, str)}
    return own | {key for value in values.values() for key in keys_of(value)}
