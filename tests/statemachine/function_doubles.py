"""Test doubles of the functions: each follows its script, records the call, and returns what the real one returns.

Each batch has a folder with `script.json` and, for each function and chunk, the events of its calls, one per line.
On a local endpoint this module is the code of small real functions. An in-process engine calls it directly.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from functions.record_failure.failure import Failure, notification, record

FOLDER = "DOUBLES_FOLDER"
"""The environment variable with the folder that contains the folders of all batches."""

CRASH, HANG = "crash", "hang"
"""What a script can make a function do, in addition to raising an error by its name."""

HANG_SECONDS = 3


def validate(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    _play("validate", event["batch"], event, event["chunk"])
    return {"chunk": event["chunk"]}


def transform(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    _play("transform", event["batch"], event, event["chunk"])
    return {"chunk": event["chunk"]}


def write(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    summary: dict[str, Any] = _play("write", event, event)["summary"]
    return summary


def record_failure(event: dict[str, Any], _context: object = None) -> dict[str, Any]:
    _play("record_failure", event["batch"], event)
    return failure_notification(event)


def failure_notification(event: dict[str, Any]) -> dict[str, str]:
    """The result of the real record_failure for the event of the state RecordFailure."""
    failure = Failure.from_state_machine(event)
    return notification(record(failure, committed=False, rejects_uri=None), "s3://processed/failure.json").to_output()


def _play(function: str, batch: dict[str, Any], event: dict[str, Any], chunk: int | None = None) -> dict[str, Any]:
    """Record the call and do what the script says. Returns the script."""
    folder = Path(os.environ[FOLDER]) / batch["batch_id"]
    script: dict[str, Any] = json.loads((folder / "script.json").read_text())
    place = function if chunk is None else f"{function}-{chunk}"
    with (folder / f"{place}.calls").open("a+") as calls:
        calls.write(json.dumps(event) + "\n")
        calls.seek(0)
        attempt = len(calls.readlines())
    actions = script["actions"].get(place, script["actions"].get(function, []))
    action = actions[attempt - 1] if attempt <= len(actions) else None
    if action == CRASH:
        crash()
    elif action == HANG:
        time.sleep(HANG_SECONDS)
    elif action:
        raise type(action, (Exception,), {})(error_message(action, function))
    return script


def error_message(error: str, function: str) -> str:
    """The message of an error that a function raises."""
    return f'{function} met a "{error}".'


def crash() -> None:
    """End the process, as if it ran out of memory. In-process engines replace this function."""
    os._exit(1)
