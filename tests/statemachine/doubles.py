"""Stand-ins for the functions: each does what its script says, notes the call, and answers as the real one does.

A batch has a folder with its `script.json` and, for each function and chunk, the events of its calls, one a line.
On a local endpoint this module is the code of small real functions; an engine in this process calls it.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from functions.record_failure.failure import Failure, notification, record

FOLDER = "DOUBLES_FOLDER"
"""The environment variable that names the folder of all batches' folders."""

CRASH, HANG = "crash", "hang"
"""What a script can have a function do, besides raising an error by its name."""

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
    return failure_notice(event)


def failure_notice(event: dict[str, Any]) -> dict[str, str]:
    """What the real record_failure answers to the event of the state RecordFailure."""
    failure = Failure.from_state_machine(event)
    return notification(record(failure, committed=False, rejects_uri=None), "s3://processed/failure.json").to_output()


def _play(function: str, batch: dict[str, Any], event: dict[str, Any], chunk: int | None = None) -> dict[str, Any]:
    """Note the call and do what stands in the script for it; answers the script."""
    folder = Path(os.environ[FOLDER]) / batch["batch_id"]
    script: dict[str, Any] = json.loads((folder / "script.json").read_text())
    place = function if chunk is None else f"{function}-{chunk}"
    with (folder / f"{place}.calls").open("a+") as calls:
        calls.write(json.dumps(event) + "\n")
        calls.seek(0)
        attempt = len(calls.readlines())
    deeds = script["deeds"].get(place, script["deeds"].get(function, []))
    deed = deeds[attempt - 1] if attempt <= len(deeds) else None
    if deed == CRASH:
        crash()
    elif deed == HANG:
        time.sleep(HANG_SECONDS)
    elif deed:
        raise type(deed, (Exception,), {})(complaint(deed, function))
    return script


def complaint(error: str, function: str) -> str:
    """The message of an error that a function raises."""
    return f'{function} met a "{error}".'


def crash() -> None:
    """End the process, as one does that is out of memory. In-process engines replace this."""
    os._exit(1)
