"""Files and what becomes of them: outcomes, records, notices, duplicates, logs, metrics."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

from msgspec import structs

from functions.common.batch import run_key
from functions.common.documents.run_record import RunRecord
from pipeline.deploy.processed_bucket import read_document
from pipeline.inspect.logs import logs
from pipeline.run import runs
from pipeline.smoke.model import Check, CheckFailedError, expect
from pipeline.smoke.trial import BAD, HOPELESS, ORDERS, Trial

_TOLD_BY = {"starter", "validate", "transform", "write"}


def good_file(trial: Trial) -> str:
    """All of it is published, and each output is there as the manifest says."""
    counts = _counts(trial.good())
    expect(counts, {"received": ORDERS, "valid": ORDERS, "rejected": 0, "superseded": 0, "published": ORDERS}, "counts")
    return f"{ORDERS} orders published, {_verified(trial, trial.good())} outputs as the manifest says"


def mixed_file(trial: Trial) -> str:
    """The good orders are published, the others rejected, and somebody is told."""
    counts = _counts(trial.mixed())
    good = ORDERS - BAD
    expect(counts, {"received": ORDERS, "valid": good, "rejected": BAD, "superseded": 0, "published": good}, "counts")
    rejects = [json.loads(line)["reason"] for line in _rejects(trial, trial.mixed())]
    expect(len(rejects), BAD, "rejects")
    _verified(trial, trial.mixed())
    _noticed(trial, trial.mixed(), f"{BAD} of its {ORDERS} records")
    return f"{good} orders published, {BAD} rejected ({', '.join(rejects)}), one notice"


def hopeless_file(trial: Trial) -> str:
    """It fails with its record, its rejects and one notice, and publishes nothing."""
    ended = trial.hopeless()
    expect(ended.error, "NoValidRecordsError", "the execution's error")
    expect(ended.manifest, None, "the manifest")
    if ended.failure is None:
        raise CheckFailedError("there is no failure record")
    expect(ended.failure.error, "NoValidRecordsError", "the failure record's error")
    expect(len(_rejects(trial, ended)), HOPELESS, "rejects")
    _noticed(trial, ended, "NoValidRecordsError")
    return "failed with NoValidRecordsError, a failure record, its rejects and one notice"


def duplicate_event(trial: Trial) -> str:
    """The event of a file that is known starts nothing."""
    uploaded = trial.good().upload
    answer = trial.place.client("lambda").invoke(
        FunctionName=trial.place.outputs()["function_names"]["starter"],
        Qualifier="live",
        Payload=json.dumps({"Records": [_event(uploaded)]}),
    )
    expect(json.loads(answer["Payload"].read()), {"started": 0, "known": 1}, "the starter's answer")
    machine = trial.place.outputs()["state_machine_arn"]
    pages = (
        trial.place.step_functions()
        .get_paginator("list_executions")
        .paginate(stateMachineArn=machine, PaginationConfig={"PageSize": 1000})
    )
    names = [run["name"] for page in pages for run in page["executions"] if run["name"].startswith(uploaded.batch_id)]
    expect(names, [uploaded.batch_id], "the executions of the batch")
    return "known, and nothing started"


def run_records(trial: Trial) -> str:
    """EventBridge tells of every end, and what each run cost is written down."""
    total = Decimal(0)
    for ended in trial.outcomes():
        batch = ended.upload.batch_id
        key = run_key(ended.upload.dataset, batch, batch)
        trial.wait_for(lambda key=key: read_document(trial.place, RunRecord, key) is not None, f"the run record {key}")  # type: ignore[misc]
        content = read_document(trial.place, RunRecord, key)
        if content is None:
            raise CheckFailedError(f"{key} is not there any more")
        expect(content.status, "FAILED" if ended.error else "SUCCEEDED", f"the status of {key}")
        if Decimal(content.usd) <= 0:
            raise CheckFailedError(f"{key} says that the run cost {content.usd}")
        total += Decimal(content.usd)
    return f"{len(trial.outcomes())} runs, {total:.6f} USD"


def structured_logs(trial: Trial) -> str:
    """Each function that has seen the good file says so in its log."""
    batch, since = trial.good().upload.batch_id, datetime.now(UTC) - timedelta(hours=1)

    def told() -> set[str]:
        return {line.function for line in logs(trial.place, since, 1000, batch).lines}

    trial.wait_for(lambda: told() >= _TOLD_BY, f"lines of {', '.join(sorted(_TOLD_BY))} about {batch}")
    return f"of {', '.join(sorted(told()))}"


def metrics(trial: Trial) -> str:
    """The functions' metrics arrive where the alarms look for them."""
    since = datetime.now(UTC) - timedelta(hours=1)
    dataset = trial.good().upload.dataset

    def published() -> float:
        answer = trial.place.client("cloudwatch").get_metric_statistics(
            Namespace=trial.place.outputs()["name"],
            MetricName="RecordsReceived",
            Dimensions=[{"Name": "service", "Value": "write"}, {"Name": "dataset", "Value": dataset}],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    trial.wait_for(lambda: published() >= ORDERS, "the metric RecordsReceived")
    return "RecordsReceived has arrived"


CHECKS = (
    Check("a good file", good_file),
    Check("a mixed file", mixed_file),
    Check("a hopeless file", hopeless_file),
    Check("a duplicate event", duplicate_event),
    Check("records of what runs cost", run_records),
    Check("structured logs", structured_logs),
    Check("metrics", metrics, not_local="makes no metrics of what functions log"),
)


def _counts(ended: runs.RunResult) -> dict[str, int]:
    if ended.manifest is None or ended.error:
        raise CheckFailedError(ended.line())
    counts: dict[str, int] = structs.asdict(ended.manifest.counts)
    return counts


def _verified(trial: Trial, ended: runs.RunResult) -> int:
    """See that every output of a manifest is there, with its size and SHA-256; answers how many there are."""
    outputs = ended.manifest.outputs if ended.manifest else []
    for output in outputs:
        head = trial.place.s3().head_object(Bucket=trial.place.outputs()["processed_bucket"], Key=output.key)
        found = {"bytes": head["ContentLength"], "sha256": head["Metadata"].get("sha256")}
        expect(found, {"bytes": output.bytes, "sha256": output.sha256}, output.key)
    return len(outputs)


def _rejects(trial: Trial, ended: runs.RunResult) -> list[bytes]:
    if not ended.rejects_key:
        raise CheckFailedError("no rejects are named")
    bucket = trial.place.outputs()["processed_bucket"]
    return trial.place.s3().get_object(Bucket=bucket, Key=ended.rejects_key)["Body"].read().splitlines()


def _noticed(trial: Trial, ended: runs.RunResult, words: str) -> None:
    """See that one notice about a batch was sent, and that it says so."""
    batch = ended.upload.batch_id
    trial.wait_for(lambda: bool(trial.notices(batch)), f"a notice about {batch}")
    said = [words in message for message in trial.notices(batch)]
    expect(said, [True], f"notices about {batch} that say {words!r}")


def _event(uploaded: runs.Upload) -> dict[str, Any]:
    """S3's event of an upload, as it is told again."""
    stored = {"key": quote_plus(uploaded.key), "size": 1, "eTag": "", "versionId": uploaded.version_id}
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "s3": {"bucket": {"name": uploaded.bucket}, "object": {**stored, "sequencer": "1"}},
    }
