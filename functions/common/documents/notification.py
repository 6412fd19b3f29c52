"""Defines the notification that is published to SNS."""

import re

import msgspec

_MAX_SUBJECT = 99


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification with a subject that SNS accepts.

    SNS requires fewer than 100 printable ASCII characters (docs.aws.amazon.com/sns/latest/api/API_Publish.html). Other
    characters are replaced with `?`, and a longer subject is truncated.
    """

    subject: str
    message: str

    def __post_init__(self) -> None:
        subject = re.sub(r"[^ -~]", "?", self.subject).lstrip()[:_MAX_SUBJECT]
        msgspec.structs.force_setattr(self, "subject", subject)

    def to_output(self) -> dict[str, str]:
        """Return the notification as part of a function's output."""
        return msgspec.structs.asdict(self)
