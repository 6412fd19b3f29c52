"""Alarms reach people: each has the topic as its action, and the topic takes what an alarm says."""

import json
from typing import Any

from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import Trial


def alarm_actions(trial: Trial) -> str:
    """Each alarm publishes to the topic of alarms and to nothing else."""
    alarms, topic = _alarms(trial), trial.place.outputs()["alarms_topic_arn"]
    for alarm in alarms:
        actions = (alarm["ActionsEnabled"], alarm["AlarmActions"])
        expect(actions, (True, [topic]), f"the actions of {alarm['AlarmName']}")
    return f"{len(alarms)} alarms, each to the topic of alarms"


def alarms_heard(trial: Trial) -> str:
    """What an alarm says when it is set off arrives at who subscribes; the alarm is put back afterwards."""
    alarms, cloudwatch = _alarms(trial), trial.place.client("cloudwatch")
    reason = "pipeline smoke tries whether this alarm is heard."
    try:
        for alarm in alarms:
            for state in ("OK", "ALARM"):  # only a change is told
                cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason=reason)
        silent = {alarm["AlarmName"] for alarm in alarms}
        try:
            trial.wait_for(lambda: silent <= _heard(trial), "what each alarm says")
        finally:
            silent -= _heard(trial)
    finally:
        for alarm in alarms:
            cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=alarm["StateValue"], StateReason=reason)
    expect(silent, set(), "alarms that nobody heard")
    return f"{len(alarms)} alarms set off and heard"


def _heard(trial: Trial) -> set[str]:
    """The names of the alarms that were heard to be in the state ALARM."""
    topic = trial.place.outputs()["alarms_topic_arn"]
    texts = [one["Message"] for one in trial.ear.heard() if one.get("TopicArn") == topic]
    said = [json.loads(text) for text in texts if text.startswith("{")]  # a budget speaks there too, in plain words
    return {one["AlarmName"] for one in said if one.get("NewStateValue") == "ALARM"}


def _alarms(trial: Trial) -> list[dict[str, Any]]:
    pages = trial.place.client("cloudwatch").get_paginator("describe_alarms")
    alarms = list(pages.paginate(AlarmNamePrefix=f"{trial.place.outputs()['name']}-").search("MetricAlarms[]"))
    if not alarms:
        raise CheckFailedError("there is no alarm")
    return alarms


CHECKS = (Check("alarms' actions", alarm_actions), Check("alarms are heard", alarms_heard))
