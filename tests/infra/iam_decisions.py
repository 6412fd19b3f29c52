"""Decide whether policies allow a request, as IAM does for identity-based policies with only Allow statements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.infra.policies import listed


@dataclass(frozen=True)
class Request:
    """One action on one resource."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    """The condition keys that IAM knows for this request, with their values."""


def allows(statements: Iterable[Mapping[str, Any]], request: Request) -> bool:
    """Whether one of the statements allows the request. Raises KeyError for an unknown operator."""
    return any(_allows(statement, request) for statement in statements)


def _allows(statement: Mapping[str, Any], request: Request) -> bool:
    assert statement["Effect"] == "Allow", "Deny statements are not supported here"
    return (
        request.action in listed(statement["Action"])
        and any(fnmatchcase(request.resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            key in request.context
            and any(_OPERATORS[operator](request.context[key], value) for value in listed(wanted))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, wanted in conditions.items()
        )
    )


_OPERATORS = {
    "StringEquals": str.__eq__,
    "StringLike": fnmatchcase,
    "ForAnyValue:StringLike": fnmatchcase,
}
