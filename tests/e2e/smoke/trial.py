"""The state that checks of one deployment share: the uploaded files, their outcomes, and the second apply."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from pipeline import ROOT
from pipeline import console as show
from pipeline.deploy.targets import Target
from pipeline.run import runs
from pipeline.waiting import wait_for
from tests.e2e import northwind
from tests.e2e.notifications import Subscriber, messages
from tests.e2e.smoke.second_apply import Changed, apply_again

_Made = TypeVar("_Made")

DATASET = "orders"
LARGE = 20_000
"""Enough orders to stop their execution before it ends."""

_AUTHORIZATION_SECONDS = 600.0
"""How long a new key's alias and tags, or a new role, may take to affect authorization; AWS says five minutes."""
_DENIED = ("AccessDenied", "AccessDeniedException", "KMSAccessDeniedException")

_PATIENCE_SECONDS = {"local": 20.0, "aws": 300.0}
"""How long asynchronous results may take: run records, notifications, alarms, logs and metrics."""
_PAUSE_SECONDS = {"local": 0.1, "aws": 2.0}


@dataclass
class Trial:
    """One deployment under test. Each file is uploaded once, when a check first needs its outcome."""

    place: Target
    folder: Path
    """The folder for uploaded and downloaded files."""
    subscriber: Subscriber
    _made: dict[str, Any] = field(default_factory=dict)
    """Cached results by name, or the exceptions that prevented them."""
    _failed: list[str] = field(default_factory=list)
    _mark: str = field(default_factory=lambda: uuid4().hex[:8])

    def good(self) -> runs.RunResult:
        """The outcome of a file of good orders."""
        return self._outcome("good", northwind.NORTHWIND.read_bytes())

    def mixed(self) -> runs.RunResult:
        """The outcome of a file of good and bad orders."""
        return self._outcome("mixed", northwind.MIXED)

    def hopeless(self) -> runs.RunResult:
        """The outcome of a file without orders."""
        return self._outcome("hopeless", northwind.HOPELESS)

    def outcomes(self) -> Sequence[runs.RunResult]:
        """The outcomes of the three files."""
        return self.good(), self.mixed(), self.hopeless()

    def definition(self) -> dict[str, Any]:
        """The state machine as it is deployed."""
        return self._once("definition", self._describe_definition)

    def _describe_definition(self) -> Any:
        machine = self.place.outputs()["state_machine_arn"]
        described = self.place.step_functions().describe_state_machine(stateMachineArn=machine)
        return json.loads(described["definition"])

    def changed(self) -> Changed:
        """The deployment after its second apply, which runs when a check first needs it."""
        return self._once("second apply", lambda: apply_again(self.place))

    def analyst(self, service: str) -> Any:
        """A client with only the permissions of analyst_policy."""
        keys = self._once("analyst", self._assume_analyst)
        return self.place.client(
            service,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def unhandled(self) -> str:
        """A mark in the event that the starter can't handle; the event is sent when a check first needs it."""
        return self._once("unhandled", self._send_unhandled)

    def failed_events(self) -> str:
        """All messages read from the failed-event queue until now."""
        url = self.place.outputs()["on_failure_queue_url"]
        self._failed += [message["Body"] for message in messages(self.place, url)]
        return "\n".join(self._failed)

    def notifications(self, batch: str) -> list[str]:
        """The notifications about a batch until now."""
        return [one["Message"] for one in self.subscriber.notifications(batch)]

    def send_large(self, name: str) -> runs.Upload:
        """Upload a file of LARGE good orders."""
        path = self._path(name)
        script = ROOT / "src" / "generate_data.py"
        command = [sys.executable, str(script), f"--orders={LARGE}", f"--out={path}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self._upload(path)

    def settled(self, call: Callable[[], _Made], what: str) -> _Made:
        """Return the result of a call that AWS may refuse until new permissions take effect. Raises ClientError."""
        seconds = _AUTHORIZATION_SECONDS if self.place.name == "aws" else 0
        message = f"AWS still refuses {what}; waiting"
        retrying = Retrying(
            retry=retry_if_exception(_is_denied),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(_PAUSE_SECONDS[self.place.name]),
            before_sleep=lambda _: show.step(message),
            reraise=True,
        )
        returned: _Made = retrying(call)
        return returned

    def wait_for(self, condition: Callable[[], bool], what: str, aws_seconds: float | None = None) -> None:
        """Wait until a condition holds, on AWS for `aws_seconds` if given; fail if it takes too long."""
        seconds = _PATIENCE_SECONDS[self.place.name]
        if aws_seconds and self.place.name == "aws":
            seconds = aws_seconds
        assert wait_for(condition, seconds, _PAUSE_SECONDS[self.place.name]), (
            f"{what} did not come within {seconds:.0f} s"
        )

    def _assume_analyst(self) -> Any:
        role, sts = self.changed().place.outputs()["analyst_role_arn"], self.place.client("sts")
        answer = self.settled(
            lambda: sts.assume_role(RoleArn=role, RoleSessionName="smoke"), "to let the analyst's role be assumed"
        )
        return answer["Credentials"]

    def _send_unhandled(self) -> str:
        mark = f"smoke-{self._mark}-unhandled"
        self.place.client("lambda").invoke(
            FunctionName=self.place.outputs()["function_names"]["starter"],
            Qualifier="live",
            InvocationType="Event",
            Payload=json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "about": mark}]}),
        )
        return mark

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        if name not in self._made:
            try:
                self._made[name] = make()
            except Exception as exc:  # the next check must not wait for it again
                self._made[name] = exc
        made: _Made | Exception = self._made[name]
        if isinstance(made, Exception):
            raise made
        return made

    def _outcome(self, name: str, content: bytes) -> runs.RunResult:
        return self._once(name, lambda: self._run(name, content))

    def _run(self, name: str, content: bytes) -> runs.RunResult:
        path = self._path(name)
        path.write_bytes(content)
        uploaded = self._upload(path)
        for _ in runs.follow(self.place, uploaded):
            pass
        return runs.outcome(self.place, uploaded)

    def _path(self, name: str) -> Path:
        return self.folder / f"smoke-{self._mark}-{name}.jsonl"

    def _upload(self, path: Path) -> runs.Upload:
        return self.settled(lambda: runs.upload(self.place, path, DATASET), "an upload with the new key")


def _is_denied(error: BaseException) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _DENIED
