"""A file with a known outcome: after any fault, it must end with this outcome."""

from dataclasses import dataclass

from tests.faults import outcome_check
from tests.faults.fault_injection import Call
from tests.faults.simulated_cloud import HANDLERS, Cloud


@dataclass(frozen=True)
class Scenario:
    """One file with valid, rejected and superseded records, and its published outputs."""

    cloud: Cloud
    outputs: dict[str, bytes]
    calls: list[Call]
    """What the steps call for it, in a run without faults."""

    def again(self) -> Cloud:
        """A cloud that contains only the file and its event."""
        self.cloud.forget()
        return self.cloud

    def replay_publishes(self) -> None:
        """Check that a replay after the fault publishes the bytes that the first execution should have published."""
        self.cloud.injector.clear()
        self.cloud.functions = dict(HANDLERS)
        batch_id = self.cloud.executions[0].name
        assert self.cloud.replay(batch_id) == f"{batch_id}-replay-1"
        self.cloud.settle()
        published = {key: data for key, data in self.cloud.outputs().items() if not key.startswith("failures/")}
        assert published == self.outputs
        assert len(outcome_check.check(self.cloud).published) == 1
