"""The Lambda handler of `record_run`, which EventBridge calls when an execution ends with any status."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from functions.common import executions, s3_utils
from functions.common.config import settings
from functions.common.documents.manifest import Manifest
from functions.common.errors import TransientError
from functions.common.telemetry import count, step
from functions.record_run.history import BilledQuantities, read_history
from functions.record_run.record import record
from functions.record_run.run import Deployment, FinishedRun

_THROTTLED = "ThrottlingException"
"""The error code for requests beyond the quota."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, str]:
    """Write the run record of an execution once, and return the cost of the execution in USD.

    The function runs outside the state machine, so no execution waits for it or fails because of it. If Step Functions
    throttles the request for the history, the record says that its steps were not measured. Raises TransientError if
    the history doesn't show the end yet. Lambda then delivers the event again.
    """
    run, bucket = FinishedRun.from_status_change(event), settings().processed_bucket
    with step("record_run", run.batch_id, execution=run.execution) as outcome:
        history, staged = _history(run), list(_staged(run))
        outcome["history"] = "read" if history else "throttled"
        committed = s3_utils.storage().get_bytes(bucket, run.manifest_key) if run.status == "SUCCEEDED" else None
        manifest = Manifest.read(committed, run.manifest_key) if committed else None
        deployment = Deployment.from_settings(settings().deployment)
        content = record(run, history, staged, manifest, deployment)
        outcome["usd"] = content.usd
        if s3_utils.storage().put_new(bucket, run.key, content.to_bytes()):
            count(run.dataset, {"EstimatedCostUSD": float(content.usd)}, unit="None")
    return {"usd": content.usd}


def _history(run: FinishedRun) -> BilledQuantities | None:
    """Return the billed quantities, or None if reading them is throttled even after the client's retries.

    GetExecutionHistory has a bucket of 400 requests, refilled at 20 requests per second
    (step-functions/latest/dg/service-quotas.html). Many files at once must not fill the failed-event queue.
    """
    try:
        with s3_utils.transient_faults("GetExecutionHistory"):
            history = read_history(_events(run.execution_arn))
    except TransientError as exc:
        if isinstance(exc.__cause__, ClientError) and exc.__cause__.response["Error"]["Code"] == _THROTTLED:
            return None
        raise
    if not history.ended:
        raise TransientError("GetExecutionHistory: the history does not show the execution's end yet.")
    return history


def _events(execution_arn: str) -> Iterator[Mapping[str, Any]]:
    """Return the events of the history in order, without data, because types and times show what is billed."""
    return executions.history(executions.client(), execution_arn)


def _staged(run: FinishedRun) -> Iterator[tuple[str, int]]:
    """Yield the name and the size in bytes of each object that the execution staged."""
    for key, size in s3_utils.storage().list_objects(settings().processed_bucket, run.staging_prefix):
        yield key.rpartition("/")[2], size
