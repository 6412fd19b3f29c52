"""What is deployed can also be changed in place, by whoever deployed it."""

from pipeline.smoke.model import Check, expect
from pipeline.smoke.trial import Trial


def second_apply(trial: Trial) -> str:
    """A description, the memory and a tag are what the second apply says."""
    before, after = trial.changed().before, trial.changed().after
    expected = {
        "description": f"{before['description'].removesuffix('.')}, changed by the smoke test.",
        "memory": before["memory"] + 64,
        "tag": "changed",
    }
    expect(after, expected, "the starter and its role")
    return f"description, memory ({before['memory']} to {after['memory']} MB) and tag changed in place"


CHECKS = (Check("a second apply", second_apply),)
