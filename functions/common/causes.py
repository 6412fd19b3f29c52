"""Simplifies the causes of failed executions."""

import json

_MAX_CAUSE = 2000


def plain_cause(cause: str) -> str:
    """Return the message of a Lambda function's error without its type and stack trace, or else the unchanged cause.

    The result has at most 2,000 characters.
    """
    try:
        message = json.loads(cause)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message = cause
    return str(message)[:_MAX_CAUSE]
