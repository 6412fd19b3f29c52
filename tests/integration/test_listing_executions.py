"""ListExecutions within its quota: the largest pages, and backoff when the token bucket is empty."""

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from functions.common import executions, s3_utils
from functions.common.batch_state import Pipeline
from functions.reconciler import index as reconciler
from pipeline import ROOT
from tests import harness
from tests.integration.deployed import Place

pytestmark = pytest.mark.slow

MACHINE = harness.ENVIRONMENT["STATE_MACHINE_ARN"]
MOST = 1000
"""The largest page of ListExecutions."""

ANSWER_SECONDS = 0.05
"""How long AWS takes for a page; a shorter time would need more of the quota."""

QUOTAS = {"us-east-1, us-west-2 and eu-west-1": (200, 5), "other regions": (100, 2)}
"""Requests in the bucket, and how many a second refill it: step-functions/latest/dg/service-quotas.html."""

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Service:
    """ListExecutions with the limits of AWS, on a simulated clock. A page has one execution, which represents 1,000."""

    def __init__(self, bucket: float, refill: float, pages: int) -> None:
        self.bucket, self.tokens, self.refill, self.pages = bucket, bucket, refill, pages
        self.seconds = 0.0
        self.requests: list[dict[str, Any]] = []
        self.throttled = 0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.tokens = min(self.bucket, self.tokens + seconds * self.refill)

    def respond(self, request: Any, **_: Any) -> AWSResponse:
        self.sleep(ANSWER_SECONDS)
        body = json.loads(request.body)
        if self.tokens < 1:
            self.throttled += 1
            return answer(request, 400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
        self.tokens -= 1
        self.requests.append(body)
        page = int(body.get("nextToken", 0))
        listed = {"executionArn": f"{MACHINE}:{page}", "stateMachineArn": MACHINE, "name": str(page)}
        times = {"startDate": NOW.timestamp(), "stopDate": NOW.timestamp()}
        more = {"nextToken": str(page + 1)} if page + 1 < self.pages else {}
        return answer(request, 200, {"executions": [{**listed, **times, "status": "SUCCEEDED"}], **more})


def answer(request: Any, status: int, content: Any) -> AWSResponse:
    raw: Any = BytesIO(json.dumps(content).encode())
    raw.stream = lambda **_: iter([raw.getvalue()])
    return AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.0"}, raw)


@pytest.fixture
def listing(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Service], Any]]:
    """Let the functions' own client call a service, with no time between retries."""

    def client(service: Service) -> Any:
        made = executions.client()
        made.meta.events.register_first("before-send.sfn.ListExecutions", service.respond)
        monkeypatch.setattr("botocore.endpoint.time.sleep", service.sleep)
        return made

    random.seed(1)
    yield client
    executions.client.cache_clear()


def test_every_listing_asks_for_the_largest_page(listing: Callable[[Service], Any]) -> None:
    for list_all in (
        lambda client: executions.started_since(client, MACHINE, NOW - timedelta(days=3)),
        lambda client: executions.changed_since(client, MACHINE, NOW - timedelta(days=3)),
        lambda client: executions.running(client, MACHINE),
    ):
        service = Service(100, 2, pages=3)
        assert len(list(list_all(listing(service)))) == 3
        assert [body["maxResults"] for body in service.requests] == [MOST] * 3
        executions.client.cache_clear()


@pytest.mark.parametrize(("bucket", "refill"), QUOTAS.values(), ids=QUOTAS)
def test_a_million_executions_are_listed_in_spite_of_the_quota(
    listing: Callable[[Service], Any], bucket: int, refill: int
) -> None:
    """When the token bucket is empty, the client's backoff slows the listing to the quota. No call fails."""
    service = Service(bucket, refill, pages=1_000_000 // MOST)
    listed = list(executions.started_since(listing(service), MACHINE, NOW - timedelta(days=3)))
    assert len(listed) * MOST == 1_000_000
    assert service.throttled > 0
    assert service.seconds < 800, "the reconciler has 15 minutes, for the rest too"


def test_all_code_that_pages_through_executions_asks_for_the_largest_page() -> None:
    """`status` asks for one page, of as many as it shows."""
    for folder in ("functions", "src"):
        for path in (ROOT / folder).rglob("*.py"):
            for found in re.finditer(
                r'get_paginator\("list_executions"\)\.paginate\(([^)]*)\)', path.read_text("utf-8")
            ):
                assert f'"PageSize": {MOST}' in found[1], path


def test_a_run_of_the_reconciler_lists_the_executions_once(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    place, listed = Place(), list[datetime]()
    started_since = executions.started_since

    def counted(client: Any, machine: str, since: datetime) -> Any:
        listed.append(since)
        return started_since(client, machine, since)

    step_functions: Any = place.step_functions()
    pipeline = Pipeline(s3_utils.Storage(place.s3()), step_functions, harness.INGEST, harness.PROCESSED, MACHINE, 1000)
    monkeypatch.setattr(reconciler, "_pipeline", lambda: pipeline)
    monkeypatch.setattr(executions, "started_since", counted)
    place.process(b"{}\n" * 5)
    found = reconciler.handler({"grace_minutes": 0, "since_hours": 72})
    assert (sum(found.values()), len(listed)) == (1, 1)
