"""No file assumes the partition `aws`: China and GovCloud have other ARNs."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline import ROOT
from tests.infra.conftest import FIRST_PLAN, PLAN_FILE, Project, Run

pytestmark = pytest.mark.slow

HARD_CODED = re.compile(r"arn:aws(-[a-z-]+)?:")
SUFFIXES = {".tf", ".tftpl", ".yaml", ".yml", ".json", ".py", ".sql", ".jinja"}
NOT_SHIPPED = ("infra/tests/", "infra/bootstrap/tests/")


def shipped() -> Iterator[str]:
    """Everything that is deployed or runs on the operator's machine, without tests and Terraform's own files."""
    for folder in ("infra", "statemachine", "functions", "src", ".github"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES and ".terraform/" not in name and not name.startswith(NOT_SHIPPED):
                yield name


def test_no_file_has_a_hard_coded_partition_in_an_arn() -> None:
    names = list(shipped())
    assert {"infra/iam.tf", "statemachine/pipeline.asl.json", "infra/bootstrap/permissions.yaml"} <= set(names)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in names
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), 1)
        if HARD_CODED.search(line)
    ]
    assert not found, (
        "Render the partition: local.partition in infra/, ${partition} in permissions.yaml, or an ARN's own"
    )


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [("cn-north-1", "aws-cn", "amazonaws.com.cn"), ("us-gov-west-1", "aws-us-gov", "amazonaws.com")],
)
def test_a_plan_only_uses_the_partition_of_its_region(
    make_project: Callable[[], Project], region: str, partition: str, suffix: str
) -> None:
    project = make_project()
    project.set_key_arn()
    file = project.infra / "tests" / PLAN_FILE
    file.write_text(file.read_text().replace("eu-central-1", region))
    key_override = project.infra / "key_override.tf"
    key_override.write_text(key_override.read_text().replace("arn:aws:", f"arn:{partition}:"))
    run = project.test(PLAN_FILE, verbose=True, region=region, customer_managed_key="true")[FIRST_PLAN]
    assert run.status == "pass", run.errors
    planned = list(strings(run.planned()))
    assert [text for text in planned if "arn:aws:" in text] == []
    assert sum(f"arn:{partition}:" in text for text in planned) > 20, "found no ARNs in the plan"
    assert used_through(run, region) == {suffix}


def used_through(run: Run, region: str) -> set[str]:
    """The domains of the services through which the key is used in a region."""
    return set(re.findall(rf'"\w+\.{region}\.([\w.]+)"', "\n".join(strings(run.planned()))))
