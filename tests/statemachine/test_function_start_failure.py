"""A function whose process ends before it takes its first event, with the retriers of the definition."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pipeline import ROOT
from tests.statemachine import definition as asl
from tests.statemachine.engine import ended

BOOTSTRAP = f"""#!/bin/sh
echo start >> "$STARTS"
if [ "$(wc -l < "$STARTS")" -le "$FAILING" ]; then exit 1; fi
export PYTHONPATH="{ROOT}" PYTHONDONTWRITEBYTECODE=1
exec "{sys.executable}" -m awslambdaric "$_HANDLER"
"""


def started_handler(_event: Any, _context: object = None) -> dict[str, int]:
    """The function, after its process has started."""
    return {"chunk": 0}


def execute(local_client: Callable[[str], Any], starts: Path, failing: int) -> Any:
    """Run a machine with one task and the retriers of Transform, whose function fails to start this many times."""
    name = f"start-test-{uuid4().hex[:8]}"
    functions, machines = local_client("lambda"), local_client("stepfunctions")
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
        entry.create_system, entry.external_attr = 3, 0o100755 << 16  # Unix, so that the permissions are kept
        archive.writestr(entry, BOOTSTRAP)
    role = "arn:aws:iam::000000000000:role/test"
    arn = functions.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler=f"{__name__}.started_handler",
        Role=role,
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
        Environment={"Variables": {"STARTS": str(starts), "FAILING": str(failing)}},
    )["FunctionArn"]
    task = asl.tasks(asl.render({**dict.fromkeys(asl.placeholders(asl.PATH.read_text()), arn), "partition": "aws"}))
    definition = {"StartAt": "Transform", "States": {"Transform": task["Transform"]}}
    machine = machines.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    try:
        started = machines.start_execution(stateMachineArn=machine["stateMachineArn"], name=name)
        return ended(machines, started["executionArn"])
    finally:
        machines.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
        functions.delete_function(FunctionName=name)


@pytest.mark.parametrize(
    ("failing", "status", "starts"),
    [
        pytest.param(1, "SUCCEEDED", 2, id="fails once and the retry starts it"),
        pytest.param(9, "FAILED", 2, id="always fails and is retried once"),
    ],
)
def test_a_function_that_fails_to_start_is_retried_once(
    local_client: Callable[[str], Any], tmp_path: Path, failing: int, status: str, starts: int
) -> None:
    counted = tmp_path / "starts"
    description = execute(local_client, counted, failing)
    assert description["status"] == status, description.get("cause")
    assert len(counted.read_text().splitlines()) == starts
    assert status == "SUCCEEDED" or description["error"] == "Runtime.Unknown"
