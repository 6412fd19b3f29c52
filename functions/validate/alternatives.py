"""Finds the alternative of an `anyOf` or `oneOf` that a value was meant to be. A reject explains only its errors.

If a customer may be an object or null, a wrong id in an object is an error of the object, not of the choice.
"""

from collections.abc import Sequence

import jsonschema_rs

Errors = Sequence[jsonschema_rs.ValidationError]

_OF_OTHER_MEMBERS = frozenset({"required", "additionalProperties", "unevaluatedProperties"})


def errors_of_the_meant(error: jsonschema_rs.ValidationError, tag: str) -> Errors:
    """Return the errors of the only alternative of the value's type and form. Empty if there isn't exactly one.

    `tag` is the member whose constant selects an object's form, or an empty string.
    """
    found = [errors for errors in _alternatives(error) if not _is_of_another_type(error, errors)]
    if tag:
        found = [errors for errors in found if not any(_is_about(error, tag, one) for one in errors)]
    if len(found) > 1:
        found = [errors for errors in found if not any(_is_here(error, one, _OF_OTHER_MEMBERS) for one in errors)]
    return found[0] if len(found) == 1 else ()


def is_of_no_type(error: jsonschema_rs.ValidationError) -> bool:
    """Return whether every alternative is for another type than the value's."""
    alternatives = _alternatives(error)
    return bool(alternatives) and all(_is_of_another_type(error, errors) for errors in alternatives)


def _alternatives(error: jsonschema_rs.ValidationError) -> Sequence[Errors]:
    kinds = jsonschema_rs.ValidationErrorKind
    return error.kind.context if isinstance(error.kind, kinds.AnyOf | kinds.OneOfNotValid) else ()


def _is_of_another_type(error: jsonschema_rs.ValidationError, errors: Errors) -> bool:
    return any(_is_here(error, one, {"type"}) for one in errors)


def _is_here(
    error: jsonschema_rs.ValidationError, one: jsonschema_rs.ValidationError, keywords: frozenset[str] | set[str]
) -> bool:
    """Whether an error of an alternative is about the value itself, not about something in it."""
    return one.kind.name in keywords and list(one.instance_path) == list(error.instance_path)


def _is_about(error: jsonschema_rs.ValidationError, member: str, one: jsonschema_rs.ValidationError) -> bool:
    """Whether an error of an alternative is about a member of the value: its value, or that it is missing."""
    if isinstance(one.kind, jsonschema_rs.ValidationErrorKind.Required):
        return bool(one.kind.property == member) and list(one.instance_path) == list(error.instance_path)
    return list(one.instance_path) == [*error.instance_path, member]
