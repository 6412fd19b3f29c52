"""Summarises a Terraform plan for reviewers: the changed resources and attributes, without values."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from pipeline.errors import CliError

_KINDS = {
    ("create",): "add",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
}
_NOTHING = {("no-op",), ("read",)}
_SYMBOLS = {"add": "+", "change": "~", "replace": "±", "destroy": "-", "forget": "."}

_SHOWN_BYTES = 30_000
"""The maximum length of the list of changes in a comment. GitHub's limit for a comment is 65,536 characters."""


@dataclass(frozen=True)
class ResourceChange:
    """A planned change to one resource."""

    kind: str
    """add, change, replace, destroy or forget."""
    address: str
    attributes: tuple[str, ...]
    """The changed attributes of an existing resource."""

    def __str__(self) -> str:
        return f"{_SYMBOLS[self.kind]} {self.address}" + (f": {', '.join(self.attributes)}" if self.attributes else "")


@dataclass(frozen=True)
class TerraformPlan:
    """The planned changes, and the changes made outside Terraform since the last apply."""

    changes: tuple[ResourceChange, ...]
    outside: tuple[ResourceChange, ...]
    digest: str
    """A hash of all planned changes, including values. Plans with the same changes have the same digest."""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "TerraformPlan":
        """Read a plan in Terraform's JSON (terraform show -json). Raises CliError for an unknown action."""
        planned, outside = (list(_changing(content.get(part, []))) for part in ("resource_changes", "resource_drift"))
        exact = [[one["address"], one["change"]["actions"], one["change"].get("after")] for one in planned]
        digest = hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()[:16]
        return cls(tuple(map(_change, planned)), tuple(map(_change, outside)), digest)

    def count(self) -> str:
        """Return the number of changes by kind, such as `add=1 change=0 replace=0 destroy=0`."""
        counts = Counter(change.kind for change in self.changes)
        return " ".join(f"{kind}={counts[kind]}" for kind in _SYMBOLS if kind != "forget" or counts[kind])

    def lines(self) -> Iterator[str]:
        """Yield the changes as lines for people."""
        if not self.changes:
            yield "The plan has no changes."
        yield from map(str, self.changes)
        if self.outside:
            yield "Changed outside Terraform since the last apply:"
            yield from map(str, self.outside)

    def markdown(self, name: str) -> str:
        """Return the changes as a pull request comment in Markdown."""
        lines = [line.replace("`", "'") for line in self.lines()]
        shown = sum(size <= _SHOWN_BYTES for size in accumulate(len(line.encode()) + 1 for line in lines))
        if shown < len(lines):
            lines[shown:] = [f"… and {len(lines) - shown} more"]
        listed = "\n".join(lines)
        return (
            f"### Plan for {name}\n\n{self.count()}\n\n```diff\n{listed}\n```\n\n"
            f"Resources and attributes, without values. Digest {self.digest}.\n"
        )


def _changing(resources: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the resources that change. Raises CliError for an unknown action, which reviewers would not see."""
    for one in resources:
        actions = tuple(one["change"]["actions"])
        if actions in _KINDS:
            yield one
        elif actions not in _NOTHING:
            raise CliError(
                f"The plan has an unknown action for {one['address']}: {', '.join(actions)}.",
                "Check the plan with terraform plan, and add the action to src/pipeline/deploy/plan.py.",
            )


def _change(planned: Mapping[str, Any]) -> ResourceChange:
    change = planned["change"]
    kind = _KINDS[tuple(change["actions"])]
    attributes = _differing(change) if kind in ("change", "replace") else ()
    return ResourceChange(kind, planned["address"], attributes)


def _differing(change: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the attributes that change or whose new value is unknown."""
    before, after, unknown = (change.get(part) or {} for part in ("before", "after", "after_unknown"))
    names = {name for name in {*before, *after} if before.get(name) != after.get(name) and not unknown.get(name)}
    return tuple(sorted(names | {name for name, open_ in unknown.items() if open_ and open_ != [] and open_ != {}}))
