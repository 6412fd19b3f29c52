"""Applies infra/ again with changes, and adds a role that has analyst_policy and nothing else."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.deploy import deploy
from pipeline.deploy.targets import Target

FILES = Path(__file__).parent / "terraform"
"""The files added to the copy of infra/; those for one target are in a folder of its name."""


@dataclass(frozen=True)
class Changed:
    """A deployment after its second apply."""

    place: Target
    """With the outputs of the second apply."""
    before: dict[str, Any]
    after: dict[str, Any]


def apply_again(place: Target) -> Changed:
    """Apply infra/ with a changed description, memory and tag, and with the analyst's role. Raises CliError."""
    before = _settings_of(place)
    for path in (*FILES.glob("*.tf"), *(FILES / place.name).glob("*.tf")):
        shutil.copy(path, place.workspace.folder)
    deploy.watch("changing", place.workspace.apply())
    changed = replace(place)  # whose outputs are read again
    return Changed(changed, before, _settings_of(changed))


def _settings_of(place: Target) -> dict[str, Any]:
    """The changed settings of the starter and its role, as AWS returns them."""
    name = place.outputs()["function_names"]["starter"]
    function = place.client("lambda").get_function(FunctionName=name)
    return {
        "description": place.client("iam").get_role(RoleName=name)["Role"]["Description"],
        "memory": function["Configuration"]["MemorySize"],
        "tag": function["Tags"].get("SmokeTest"),
    }
