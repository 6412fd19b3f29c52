"""The notification that goes to SNS."""

import re

import msgspec

_MAX_SUBJECT = 99


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification. Any string can be passed as its subject.

    SNS accepts a subject of fewer than 100 printable ASCII characters
    (docs.aws.amazon.com/sns/latest/api/API_Publish.html). Other characters become `?`, and what is too long is cut.
    """

    subject: str
    message: str

    def __post_init__(self) -> None:
        subject = re.sub(r"[^ -~]", "?", self.subject).lstrip()[:_MAX_SUBJECT]
        msgspec.structs.force_setattr(self, "subject", subject)

    def to_output(self) -> dict[str, str]:
        """The notification as a function returns it to the state machine."""
        return msgspec.structs.asdict(self)
