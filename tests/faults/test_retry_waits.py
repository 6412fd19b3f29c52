"""The longest waits of retries: those of the state machine, and those of botocore in one call.

docs/reference/guarantees.md states these figures.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from functions.common import errors, executions, s3_utils
from functions.common.errors import PipelineError, SourceNotVisibleError, TransientError
from functions.reconciler import index as reconciler
from functions.record_failure import index as record_failure
from pipeline import ROOT
from pipeline.deploy import variables
from tests.statemachine import definition as asl
from tests.statemachine.definition import waits

# --- the state machine ------------------------------------------------------------------------------------------------

TASKS = asl.tasks(asl.load())
RETRIERS = [(name, retrier) for name, task in TASKS.items() for retrier in task["Retry"]]

LONGEST = {
    "TransientError": (6, 122),
    "Lambda.TooManyRequestsException": (14, 1086),
    "Lambda.CodeArtifactUserPendingException": (5, 255),
    "Runtime.ExitError": (1, 5),
    "States.TaskFailed": (5, 62),
    "SourceNotVisibleError": (18, 1005),
}
"""The number of retries of each kind of retrier, and the seconds that they wait at most; by an error that it names."""

A_TASK = 2_500
"""The seconds that a task waits at most, if it uses up every retrier."""


@pytest.mark.parametrize(("name", "retrier"), RETRIERS)
def test_the_longest_waits_of_each_retrier_are_in_the_table(name: str, retrier: asl.State) -> None:
    (kind,) = LONGEST.keys() & set(retrier["ErrorEquals"])
    assert (len(list(waits(retrier))), sum(waits(retrier))) == LONGEST[kind], (
        f"{name}, {kind}: update the table here and in docs/reference/guarantees.md"
    )
    assert max(waits(retrier)) <= retrier["MaxDelaySeconds"] <= 120
    if kind != SourceNotVisibleError.__name__:  # see tests/statemachine/test_visibility.py
        assert retrier["JitterStrategy"] == "FULL", "otherwise calls that failed together are retried together"


@pytest.mark.parametrize("name", TASKS)
def test_the_longest_wait_of_each_task_is_in_the_table(name: str) -> None:
    assert sum(sum(waits(retrier)) for retrier in TASKS[name]["Retry"]) <= A_TASK


def test_no_data_error_is_retried() -> None:
    ours = {
        name for name, error in vars(errors).items() if isinstance(error, type) and issubclass(error, PipelineError)
    }
    retried = {TransientError.__name__, SourceNotVisibleError.__name__}
    for name, retrier in RETRIERS:
        assert set(retrier["ErrorEquals"]) & ours <= retried, f"{name} retries an error that a retry cannot fix"


# --- botocore ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """A boto3 client of the functions."""

    make: Callable[[], Any]
    functions: tuple[str, ...]
    """Those that call it."""
    retries: int
    seconds: int
    """What its retries of one call wait at most, all together."""


CLIENTS = {
    "s3": Client(
        s3_utils.client,
        ("starter", "validate", "transform", "write", "record_failure", "record_run", "reconciler"),
        retries=5,
        seconds=31,
    ),
    "stepfunctions": Client(
        executions.client, ("starter", "record_failure", "record_run", "reconciler"), retries=5, seconds=31
    ),
    "sns": Client(record_failure._sns, ("record_failure",), retries=5, seconds=31),
    "lambda": Client(reconciler._lambda.__wrapped__, ("reconciler",), retries=5, seconds=31),
}


def longest_backoff(retries: int) -> int:
    """Seconds: 1, 2, 4, … up to 20 before each retry, each with full jitter.

    https://docs.aws.amazon.com/boto3/latest/guide/retries.html#standard-retry-mode
    """
    return sum(min(2**number, 20) for number in range(retries))


def timeouts() -> dict[str, int]:
    """The timeout of each function in seconds, from infra/variables.tf."""
    return {name: int(seconds) for name, seconds in variables.defaults()["timeout_seconds"].items()}


def test_every_client_is_in_the_table() -> None:
    made = [path for path in (ROOT / "functions").rglob("*.py") for _ in re.findall(r"aws\.client\(", path.read_text())]
    assert len(made) == len(CLIENTS), f"these functions create a client: {made}. Add each of them to CLIENTS"


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_retries_in_standard_mode_and_its_longest_wait_is_in_the_table(name: str) -> None:
    """In the older mode, `legacy`, botocore does not recognise every throttling error."""
    client = CLIENTS[name]
    made = client.make()
    assert made.meta.service_model.service_name == name
    assert made.meta.config.retries == {"mode": "standard", "total_max_attempts": 1 + client.retries}
    assert longest_backoff(client.retries) == client.seconds


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(("name", "function"), [(name, f) for name, c in CLIENTS.items() for f in c.functions])
def test_the_timeout_of_a_function_is_longer_than_the_retries_of_a_call(name: str, function: str) -> None:
    """Long throttling ends as TransientError, which is retried six times. A timeout is retried only once."""
    config = CLIENTS[name].make().meta.config
    seconds = timeouts()[function]
    assert CLIENTS[name].seconds < seconds
    assert 2 * max(config.connect_timeout, config.read_timeout) + 1 < seconds, "a call that stalls must be retried once"
