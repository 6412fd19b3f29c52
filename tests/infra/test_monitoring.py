"""Monitoring: every metric in an alarm or a widget is emitted, and the dashboard is readable."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from pipeline import ROOT
from pipeline.cost import estimate
from tests import harness
from tests.infra.conftest import Run
from tests.infra.emitted_metrics import Emitted, emitted_by_all
from tests.infra.policies import FUNCTIONS, MACHINE, NAME

COLUMNS, LETTERS_A_COLUMN = 24, 7
FREE_METRICS, ROOM_FOR_REASONS = 50, 10
"""What one of the free dashboards may show (https://aws.amazon.com/cloudwatch/pricing/), and what of it is searched."""

# AWS's own metrics: the page that lists them, the dimension, its possible values, and the metrics that we use.
AWS: dict[str, tuple[str, str, set[str], set[str]]] = {
    "AWS/Lambda": (
        "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html",
        "FunctionName",
        {f"{NAME}-{function.replace('_', '-')}" for function in FUNCTIONS},
        {"DestinationDeliveryFailures", "Duration", "Errors", "Invocations", "Throttles"},
    ),
    "AWS/States": (
        "https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html",
        "StateMachineArn",
        {MACHINE},
        {"ExecutionThrottled", "ExecutionTime", "ExecutionsAborted", "ExecutionsFailed", "ExecutionsTimedOut"},
    ),
    "AWS/Events": (
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html",
        "RuleName",
        {f"{NAME}-execution-failed", f"{NAME}-execution-ended"},
        {"InvocationsFailedToBeSentToDlq"},
    ),
    "AWS/Scheduler": (
        "https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html",
        "ScheduleGroup",
        {NAME},
        {"InvocationsFailedToBeSentToDeadLetterCount"},
    ),
    "AWS/SQS": (
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html",
        "QueueName",
        {f"{NAME}-on-failure"},
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ),
    "AWS/SNS": (
        "https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html",
        "TopicName",
        {f"{NAME}-notices"},
        {"NumberOfNotificationsFailed"},
    ),
}

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
PROPERTIES = {
    "alarm": {"alarms", "sortBy", "states", "title"},
    "log": {"query", "region", "title", "view"},
    "metric": {
        *("annotations", "end", "legend", "liveData", "metrics", "period", "region", "setPeriodToTimeRange"),
        *("singleValueFullPrecision", "sparkline", "stacked", "start", "stat", "title", "view", "yAxis"),
    },
    "text": {"background", "markdown"},
}
OF_A_METRIC = {"color", "id", "label", "period", "region", "stat", "visible", "yAxis"}
OF_AN_EXPRESSION = {"color", "expression", "id", "label", "period", "region", "visible", "yAxis"}
STATISTICS = r"Sum|Maximum|Minimum|Average|SampleCount|p\d+(\.\d+)?"

SEARCH = re.compile(r"""SEARCH\('\{"([^"]+)",([\w,]+)\} MetricName="(\w+)"', '(\w+)', (\d+)\)""")


@dataclass(frozen=True)
class Named:
    """A metric that an alarm or a widget names."""

    by: str
    namespace: str
    metric: str
    dimensions: frozenset[tuple[str, str]]


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Emitted]:
    with harness.buckets(monkeypatch):
        yield emitted_by_all(monkeypatch, capsys)


@pytest.fixture
def widgets(first_plan: Run) -> list[dict[str, Any]]:
    [dashboard] = first_plan.planned("aws_cloudwatch_dashboard").values()
    widgets: list[dict[str, Any]] = json.loads(dashboard["dashboard_body"])["widgets"]
    return widgets


def metrics_of(widget: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """The metrics of a widget, each with its options. An expression only has options."""
    for entry in widget["properties"].get("metrics", []):
        names = [part for part in entry if isinstance(part, str)]
        yield names, next((part for part in entry if isinstance(part, dict)), {})


def named_by_widgets(widgets: list[dict[str, Any]]) -> Iterator[Named]:
    for widget in widgets:
        for (*names,), _ in metrics_of(widget):
            if names:
                namespace, metric, *place = names
                dimensions = frozenset(zip(place[::2], place[1::2], strict=True))
                yield Named(widget["properties"]["title"], namespace, metric, dimensions)


def named_by_alarms(plan: Run) -> Iterator[Named]:
    for alarm in plan.planned("aws_cloudwatch_metric_alarm").values():
        queried = [metric for query in alarm["metric_query"] for metric in query["metric"]]
        for one in queried or [alarm]:
            dimensions = frozenset(one["dimensions"].items())
            yield Named(alarm["alarm_name"], one["namespace"], one["metric_name"], dimensions)


def test_every_metric_of_an_alarm_or_widget_is_emitted(
    first_plan: Run, widgets: list[dict[str, Any]], emitted: Emitted
) -> None:
    named = [*named_by_alarms(first_plan), *named_by_widgets(widgets)]
    assert {one.namespace for one in named} == {NAME, *AWS}, "remove the metrics from AWS that nothing names any more"
    for one in named:
        if one.namespace == NAME:
            places = [dict(place) for metric, place in emitted.metrics if metric == one.metric]
            assert dict(one.dimensions) in places, f"{one}: the functions emit it in {places}"
        else:
            page, dimension, values, metrics = AWS[one.namespace]
            assert one.metric in metrics, f"{one}: see {page}, and add it to the table in this test"
            [(name, value)] = one.dimensions
            assert name == dimension, f"{one}: see {page}"
            assert value in values, f"{one}: no resource has this name"


def test_every_search_expression_matches_an_emitted_metric(widgets: list[dict[str, Any]], emitted: Emitted) -> None:
    expressions = [said["expression"] for widget in widgets for _, said in metrics_of(widget) if "expression" in said]
    searches = [SEARCH.fullmatch(expression) for expression in expressions if "SEARCH" in expression]
    assert searches
    for search in searches:
        assert search, f"this test can't read the search expression: {SEARCH.pattern}"
        namespace, dimensions, metric, statistic, _ = search.groups()
        schemas = [{name for name, _ in place} for name, place in emitted.metrics if name == metric]
        assert (namespace, statistic) == (NAME, "Sum")
        assert set(dimensions.split(",")) in schemas, f"{metric} is emitted in {schemas}"


def test_expressions_only_use_metrics_of_their_widget(widgets: list[dict[str, Any]]) -> None:
    for widget in widgets:
        said = [said for _, said in metrics_of(widget)]
        ids = [one["id"] for one in said if "id" in one]
        assert len(ids) == len(set(ids)), f"{widget['properties']['title']}: an id occurs twice: {ids}"
        for one in said:
            if "SEARCH" not in one.get("expression", "SEARCH"):
                assert set(re.findall(r"[a-z]\w*", one["expression"])) <= set(ids) - {one["id"]}


def test_widgets_have_the_structure_that_aws_accepts(widgets: list[dict[str, Any]]) -> None:
    for widget in widgets:
        properties = widget["properties"]
        assert set(properties) <= PROPERTIES[widget["type"]], widget
        assert ("region" in properties) == (widget["type"] in ("metric", "log"))
        for names, said in metrics_of(widget):
            assert set(said) <= (OF_A_METRIC if names else OF_AN_EXPRESSION), said
            assert re.fullmatch(STATISTICS, said.get("stat", properties.get("stat", "Sum")))
            if names:
                whole_range = properties.get("setPeriodToTimeRange", False)
                assert whole_range or properties["period"] % 60 == 0
                assert "stat" in said or "stat" in properties, f"{names} would be averaged"
            assert re.fullmatch(r"#[0-9a-f]{6}", said.get("color", "#000000"))


def test_widgets_fill_their_rows_without_overlap(widgets: list[dict[str, Any]]) -> None:
    def cells(widget: dict[str, Any]) -> set[tuple[int, int]]:
        rows, columns = range(widget["height"]), range(widget["width"])
        return {(widget["x"] + column, widget["y"] + row) for row in rows for column in columns}

    for one, other in combinations(widgets, 2):
        assert not cells(one) & cells(other), f"these overlap: {one} {other}"
    taken = set().union(*(cells(widget) for widget in widgets))
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(COLUMNS) for y in range(height)}, "there are gaps, or it is too wide"


def test_the_title_of_a_widget_is_a_short_question(widgets: list[dict[str, Any]]) -> None:
    titles = {widget["properties"]["title"]: widget["width"] for widget in widgets if widget["type"] != "text"}
    assert len(titles) == len([widget for widget in widgets if widget["type"] != "text"]), (
        "two widgets have the same title"
    )
    for title, width in titles.items():
        assert "?" in title
        assert len(title) <= LETTERS_A_COLUMN * width, f"this title is cut off on a small screen: {title}"


def test_the_dashboard_is_within_the_free_tier_of_three_dashboards(widgets: list[dict[str, Any]]) -> None:
    named = {(one.namespace, one.metric, one.dimensions) for one in named_by_widgets(widgets)}
    assert len(named) <= FREE_METRICS - ROOM_FOR_REASONS, f"{len(named)} metrics are named"


def test_the_dashboard_shows_every_alarm(first_plan: Run, widgets: list[dict[str, Any]]) -> None:
    [alarms] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    planned = {alarm["alarm_name"] for alarm in first_plan.planned("aws_cloudwatch_metric_alarm").values()}
    assert {arn.rpartition(":alarm:")[2] for arn in alarms} == planned
    assert widgets[0]["properties"]["alarms"] == alarms, "the widget with the alarms must be the first"


def test_alarms_and_runbook_sections_match(first_plan: Run) -> None:
    text = (ROOT / "docs" / "guides" / "recover.md").read_text("utf-8")
    sections = set(re.findall(r"^### (.+)$", text.partition("\n## Alarms\n")[2].partition("\n## ")[0], re.MULTILINE))
    descriptions = [alarm["alarm_description"] for alarm in first_plan.planned("aws_cloudwatch_metric_alarm").values()]
    named = [re.search(r" docs/guides/recover\.md#([\w-]+)$", description) for description in descriptions]
    assert all(named), "the description of an alarm does not end with a runbook section"
    optional = {"nothing-arrives"}  # it only exists if alarms.silent_hours is set
    assert {found[1] for found in named if found} | optional == sections


def test_the_cost_estimate_counts_alarms_and_dashboards(first_plan: Run) -> None:
    """Each metric of an alarm costs money per month."""
    alarms = first_plan.planned("aws_cloudwatch_metric_alarm").values()
    looked_at = sum(len([query for query in alarm["metric_query"] if query["metric"]]) or 1 for alarm in alarms)
    assert looked_at == estimate.ALARM_METRICS
    assert len(first_plan.planned("aws_cloudwatch_dashboard")) == estimate.DASHBOARDS
    page = (ROOT / "docs" / "reference" / "cost.md").read_text("utf-8")
    assert f"{looked_at} metrics of {len(alarms)} alarms" in page


# --- Saved log queries ---

LOGS_INSIGHTS_KEYWORDS = {
    *("fields", "filter", "stats", "sort", "limit", "by", "as", "and", "or", "desc", "asc", "like"),
    *("coalesce", "ispresent", "count", "count_distinct", "sum", "max", "pct"),
}
STEP_FUNCTIONS_FIELDS = {"type", "details.name", "details.error", "details.cause", "execution_arn"}
"""https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
FIELDS_OF_EVERY_LOG = {"@timestamp", "@message", "@log", "@type", "@maxMemoryUsed", "@memorySize"}
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html"""


def test_saved_queries_only_use_fields_that_are_logged(first_plan: Run, emitted: Emitted) -> None:
    queries = first_plan.planned("aws_cloudwatch_query_definition").values()
    assert queries
    logged = {f"/aws/lambda/{NAME}-{key.replace('_', '-')}": fields for key, fields in emitted.fields.items()}
    logged[f"/aws/vendedlogs/states/{NAME}"] = STEP_FUNCTIONS_FIELDS
    for query in queries:
        assert query["name"].startswith(f"{NAME}/")
        known = FIELDS_OF_EVERY_LOG.union(*(logged[group] for group in query["log_group_names"]))
        comment, _, text = query["query_string"].partition("\n")
        assert comment.startswith("# "), f"{query['name']}: its first line must state the question"
        bare = re.sub(r'"[^"]*"|/[^/]*/', "", re.sub(r"/ \d+\)", ")", text))
        words = set(re.findall(r"[@A-Za-z_][\w.]*", bare)) - LOGS_INSIGHTS_KEYWORDS
        assert words - set(re.findall(r"\bas (\w+)", bare)) <= known, f"{query['name']} uses fields that are not logged"


def test_the_log_widget_shows_a_saved_query(first_plan: Run, widgets: list[dict[str, Any]]) -> None:
    queries = first_plan.planned("aws_cloudwatch_query_definition").values()
    saved = {query["query_string"].partition("\n")[2]: query["log_group_names"] for query in queries}
    [shown] = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    sources, _, text = shown.partition(" | ")
    assert saved[text] == re.findall(r"SOURCE '([^']+)'", sources)
