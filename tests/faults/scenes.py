"""A file whose outcome without faults is known: whatever goes wrong, it must become that in the end."""

from dataclasses import dataclass

from tests.faults import ledger
from tests.faults.cloud import HANDLERS, Cloud
from tests.faults.inject import Call


@dataclass(frozen=True)
class Scene:
    """One file with good, rejected and superseded records, and what is published of it."""

    cloud: Cloud
    outputs: dict[str, bytes]
    calls: list[Call]
    """What the steps call for it, in a run without faults."""

    def again(self) -> Cloud:
        """The cloud with nothing but the file and its event."""
        self.cloud.forget()
        return self.cloud

    def replay_publishes(self) -> None:
        """See that once the fault is over, a replay publishes the bytes that the first execution should have."""
        self.cloud.injector.clear()
        self.cloud.functions = dict(HANDLERS)
        batch_id = self.cloud.executions[0].name
        assert self.cloud.replay(batch_id) == f"{batch_id}-replay-1"
        self.cloud.settle()
        published = {key: data for key, data in self.cloud.outputs().items() if not key.startswith("failures/")}
        assert published == self.outputs
        assert len(ledger.check(self.cloud).published) == 1
