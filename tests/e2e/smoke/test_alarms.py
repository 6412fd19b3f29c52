"""Alarms notify people: each publishes to the topic of alarms, which delivers its description."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.smoke.trial import Trial


@pytest.mark.check("alarms' actions")
def test_each_alarm_publishes_to_the_topic_of_alarms_only(trial: Trial, found: Callable[[str], None]) -> None:
    alarms, topic = alarms_of(trial), trial.place.outputs()["alarms_topic_arn"]
    actions = {alarm["AlarmName"]: (alarm["ActionsEnabled"], alarm["AlarmActions"]) for alarm in alarms}
    assert actions == dict.fromkeys(actions, (True, [topic]))
    found(f"{len(alarms)} alarms, each to the topic of alarms")


@pytest.mark.check("alarms notify")
def test_each_triggered_alarm_reaches_a_subscriber(trial: Trial, found: Callable[[str], None]) -> None:
    """The message has the alarm's description, which says what to do. The test resets the alarm afterwards."""
    alarms, cloudwatch = alarms_of(trial), trial.place.client("cloudwatch")
    reason = "pipeline smoke checks that this alarm notifies."
    expected = {alarm["AlarmName"]: alarm["AlarmDescription"] for alarm in alarms}
    try:
        for alarm in alarms:
            for state in ("OK", "ALARM"):  # only a change is published
                cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)
        trial.wait_for(lambda: expected.keys() <= notified(trial).keys(), "what each alarm says")
    finally:
        for alarm in alarms:
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=alarm["StateValue"], StateReason=reason)
    assert {name: description for name, description in notified(trial).items() if name in expected} == expected
    found(f"{len(alarms)} alarms set off and received")


def notified(trial: Trial) -> dict[str, str]:
    """The descriptions of the alarms that were published in the state ALARM, by name."""
    alarms = trial.subscriber.alarms()
    return {one["AlarmName"]: one["AlarmDescription"] for one in alarms if one.get("NewStateValue") == "ALARM"}


def alarms_of(trial: Trial) -> list[dict[str, Any]]:
    pages = trial.place.client("cloudwatch").get_paginator("describe_alarms")
    alarms = list(pages.paginate(AlarmNamePrefix=f"{trial.place.outputs()['name']}-").search("MetricAlarms[]"))
    assert alarms, "there is no alarm"
    return alarms
