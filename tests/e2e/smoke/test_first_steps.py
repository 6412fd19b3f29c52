"""What runs first, since it takes effect later: an event that fails, and a change of what is deployed."""

from collections.abc import Callable

import pytest

from tests.e2e.smoke.trial import Trial

NO_FAILED_EVENTS = "hands over no event that a function's alias has failed to handle"


@pytest.mark.check("an event that fails", not_local=NO_FAILED_EVENTS)
def test_an_event_that_the_starter_cannot_handle_is_accepted(trial: Trial, found: Callable[[str], None]) -> None:
    """Lambda takes minutes to give up on it; test_recovery.py then looks for it in the failed-event queue."""
    found(f"sent: {trial.unhandled()}")


@pytest.mark.check("a second apply")
def test_what_is_deployed_can_be_changed_in_place(trial: Trial, found: Callable[[str], None]) -> None:
    """The second apply changes a description, the memory and a tag, with the deploy role's permissions."""
    before, after = trial.changed().before, trial.changed().after
    assert after == {
        "description": f"{before['description'].removesuffix('.')}, changed by the smoke test.",
        "memory": before["memory"] + 64,
        "tag": "changed",
    }
    found(f"description, memory ({before['memory']} to {after['memory']} MB) and tag changed in place")
