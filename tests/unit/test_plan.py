"""A plan's summary for reviewers: resources and attributes without values, and a digest of everything."""

import json
from typing import Any

import pytest

from pipeline.deploy.plan import TerraformPlan
from pipeline.errors import CliError

SECRET = "hunter2"


def change(address: str, *actions: str, **parts: Any) -> dict[str, Any]:
    return {"address": address, "change": {"actions": list(actions), **parts}}


PLANNED = {
    "resource_changes": [
        change("aws_sns_topic.a", "create", after={"name": SECRET}, after_unknown={"arn": True}),
        change(
            'aws_lambda_function.this["write"]',
            "update",
            before={"timeout": 1, "tags": {}, "version": "1", "environment": [{"variables": {"TOKEN": "old"}}]},
            after={"timeout": 1, "tags": {}, "environment": [{"variables": {"TOKEN": SECRET}}]},
            after_unknown={"version": True, "environment": []},
        ),
        change(
            "aws_lambda_layer_version.b",
            "delete",
            "create",
            before={"x": 1},
            after={"x": 2},
            after_unknown={"arn": True},
        ),
        change("aws_sqs_queue.gone", "delete", before={"name": SECRET}, after=None, after_unknown={}),
        change("aws_sqs_queue.same", "no-op", before={"name": "a"}, after={"name": "a"}, after_unknown={}),
        change("data.aws_partition.current", "read", before=None, after={}, after_unknown={}),
    ],
    "resource_drift": [change("aws_sns_topic.c", "update", before={"tags": 1}, after={"tags": 2}, after_unknown={})],
}


def test_every_change_is_named_with_its_attributes() -> None:
    plan = TerraformPlan.read(PLANNED)
    assert list(plan.lines()) == [
        "+ aws_sns_topic.a",
        '~ aws_lambda_function.this["write"]: environment, version',
        "± aws_lambda_layer_version.b: arn, x",
        "- aws_sqs_queue.gone",
        "Changed outside Terraform since the last apply:",
        "~ aws_sns_topic.c: tags",
    ]
    assert plan.count() == "add=1 change=1 replace=1 destroy=1"


def test_no_value_is_shown() -> None:
    plan = TerraformPlan.read(PLANNED)
    assert SECRET in json.dumps(PLANNED)
    assert SECRET not in "\n".join([*plan.lines(), plan.markdown("prod"), str(plan)])


def test_a_plan_without_changes_says_so() -> None:
    plan = TerraformPlan.read({"resource_changes": PLANNED["resource_changes"][4:]})
    assert list(plan.lines()) == ["The plan has no changes."]
    assert plan.changes == ()


@pytest.mark.parametrize(
    "other",
    [
        {"resource_changes": PLANNED["resource_changes"][1:]},
        json.loads(json.dumps(PLANNED).replace(SECRET, "another")),
        json.loads(json.dumps(PLANNED).replace("aws_sns_topic.a", "aws_sns_topic.z")),
    ],
)
def test_another_plan_has_another_digest(other: dict[str, Any]) -> None:
    assert TerraformPlan.read(other).digest != TerraformPlan.read(PLANNED).digest


@pytest.mark.parametrize("part", ["resource_changes", "resource_drift"])
@pytest.mark.parametrize("actions", [("create", "forget"), ("explode",)])
def test_an_unknown_action_is_an_error(part: str, actions: tuple[str, ...]) -> None:
    """Otherwise it would be applied without being in the comment or the digest."""
    with pytest.raises(CliError, match=f"aws_sns_topic.x: {', '.join(actions)}"):
        TerraformPlan.read({**PLANNED, part: [change("aws_sns_topic.x", *actions)]})


def test_the_same_changes_have_the_same_digest() -> None:
    again = json.loads(json.dumps({**PLANNED, "resource_drift": [], "timestamp": "later"}))
    assert TerraformPlan.read(again).digest == TerraformPlan.read(PLANNED).digest


def test_a_comment_is_one_code_block_of_limited_length() -> None:
    planned = [change(f'aws_sqs_queue.q["```{number}"]', "create", after={}) for number in range(5000)]
    comment = TerraformPlan.read({"resource_changes": planned}).markdown("dev")
    assert comment.count("```") == 2
    assert "… and 3928 more" in comment
    assert len(comment.encode()) < 65_536 / 2, "two must fit into one GitHub comment"


def test_the_length_of_a_comment_is_limited_in_bytes() -> None:
    planned = [change(f'aws_sqs_queue.q["{number}{"€" * 300}"]', "create", after={}) for number in range(300)]
    assert len(TerraformPlan.read({"resource_changes": planned}).markdown("dev").encode()) < 65_536 / 2
