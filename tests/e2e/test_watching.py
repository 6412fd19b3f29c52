"""Alarms, dashboard and budget of the deployed pipeline exist, refer to existing resources, and notify."""

import json
from typing import Any

from tests.e2e.conftest import Pipeline


def test_one_failed_execution_raises_an_alarm_that_names_its_section_of_the_runbook(pipeline: Pipeline) -> None:
    """The test sends the metric; on AWS, Step Functions does."""
    outputs, cloudwatch = pipeline.place.outputs(), pipeline.place.client("cloudwatch")
    dimensions = [{"Name": "StateMachineArn", "Value": outputs["state_machine_arn"]}]
    data: Any = [{"MetricName": "ExecutionsFailed", "Value": 1, "Dimensions": dimensions}]
    cloudwatch.put_metric_data(Namespace="AWS/States", MetricData=data)
    alarm = pipeline.alarm("docs/guides/recover.md#execution-failed")
    assert f"{outputs['name']}-execution-failed" in alarm


def test_the_dashboard_shows_the_deployed_alarms(pipeline: Pipeline) -> None:
    outputs, cloudwatch = pipeline.place.outputs(), pipeline.place.client("cloudwatch")
    widgets = json.loads(cloudwatch.get_dashboard(DashboardName=outputs["name"])["DashboardBody"])["widgets"]
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=outputs["name"])
    assert set(widgets[0]["properties"]["alarms"]) == {a["AlarmArn"] for page in pages for a in page["MetricAlarms"]}


def test_the_budget_filters_by_the_tag_of_the_deployment(pipeline: Pipeline) -> None:
    place = pipeline.place
    [budget] = place.client("budgets").describe_budgets(AccountId=place.account())["Budgets"]
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:Deployment${place.outputs()['name']}"]}
    assert budget["BudgetLimit"] == {"Amount": "20.00", "Unit": "USD"}
