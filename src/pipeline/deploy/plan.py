"""What Terraform's plan would change, for reviewers: which resources and which attributes, but never a value."""

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
_SIGNS = {"add": "+", "change": "~", "replace": "±", "destroy": "-", "forget": "."}

_SHOWN_BYTES = 30_000
"""How much of it a comment has, so that one of two environments fits: GitHub names a limit of 65,536 characters.

It takes four times as many bytes (https://github.com/dead-claudia/github-limits), but promises nothing.
"""


@dataclass(frozen=True)
class Change:
    """What becomes of one resource."""

    kind: str
    """add, change, replace, destroy or forget."""
    address: str
    attributes: tuple[str, ...]
    """Those that change, of a resource that is there."""

    def __str__(self) -> str:
        return f"{_SIGNS[self.kind]} {self.address}" + (f": {', '.join(self.attributes)}" if self.attributes else "")


@dataclass(frozen=True)
class Plan:
    """What would change, and what somebody has changed outside Terraform since the last apply."""

    changes: tuple[Change, ...]
    outside: tuple[Change, ...]
    digest: str
    """Stands for all that would change, values included; another plan of the same changes has the same."""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Plan":
        """A plan from Terraform's JSON of it (terraform show -json). Raises CliError for an action unknown here."""
        planned, outside = (list(_changing(content.get(part, []))) for part in ("resource_changes", "resource_drift"))
        exact = [[one["address"], one["change"]["actions"], one["change"].get("after")] for one in planned]
        digest = hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()[:16]
        return cls(tuple(map(_change, planned)), tuple(map(_change, outside)), digest)

    def count(self) -> str:
        """How many of each kind, for machines too: add=1 change=0 replace=0 destroy=0."""
        counts = Counter(change.kind for change in self.changes)
        return " ".join(f"{kind}={counts[kind]}" for kind in _SIGNS if kind != "forget" or counts[kind])

    def lines(self) -> Iterator[str]:
        """What a person reads."""
        if not self.changes:
            yield "Nothing would change."
        yield from map(str, self.changes)
        if self.outside:
            yield "Changed outside Terraform since the last apply:"
            yield from map(str, self.outside)

    def markdown(self, name: str) -> str:
        """The same as a comment on a pull request."""
        said = [line.replace("`", "'") for line in self.lines()]
        sizes = accumulate(len(line.encode()) + 1 for line in said)
        shown = sum(size <= _SHOWN_BYTES for size in sizes)
        rest = [f"… and {len(said) - shown} more"] if len(said) > shown else []
        lines = "\n".join([*said[:shown], *rest])
        return (
            f"### Plan for {name}\n\n{self.count()}\n\n```diff\n{lines}\n```\n\n"
            f"Resources and attributes, without values. Digest {self.digest}.\n"
        )


def _changing(resources: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Those that something becomes of. One whose action isn't known must not be passed over: nobody would review it."""
    for one in resources:
        actions = tuple(one["change"]["actions"])
        if actions in _KINDS:
            yield one
        elif actions not in _NOTHING:
            raise CliError(
                f"Terraform would do what is not known here to {one['address']}: {', '.join(actions)}.",
                "Look at it with Terraform itself (terraform plan), and teach pipeline/deployment/plan.py what it is.",
            )


def _change(planned: Mapping[str, Any]) -> Change:
    change = planned["change"]
    kind = _KINDS[tuple(change["actions"])]
    attributes = _differing(change) if kind in ("change", "replace") else ()
    return Change(kind, planned["address"], attributes)


def _differing(change: Mapping[str, Any]) -> tuple[str, ...]:
    """The attributes that will not be what they are, or of which nobody knows yet."""
    before, after, unknown = (change.get(part) or {} for part in ("before", "after", "after_unknown"))
    names = {name for name in {*before, *after} if before.get(name) != after.get(name) and not unknown.get(name)}
    return tuple(sorted(names | {name for name, open_ in unknown.items() if open_ and open_ != [] and open_ != {}}))
