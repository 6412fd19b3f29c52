"""Every AWS request has the parameters that botocore's models of the services define.

The requests of functions/ are really made, on moto. Those of the command line are read from the code, because some of
them need an account.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from pipeline import ROOT
from pipeline.deploy import deploy
from tests import aws_calls, harness

OF_THE_CLI = (
    *("s3", "stepfunctions", "sns", "sqs", "lambda", "logs", "cloudwatch", "iam", "sts", "athena", "glue", "budgets"),
    *("events", "scheduler", "kms", "resourcegroupstaggingapi"),
)
"""The services that src/pipeline calls."""


def test_every_call_in_functions_is_made() -> None:
    """Therefore the tests below and those of the policies check all of them."""
    made = aws_calls.calls()
    unmade = [
        f"{site.path}:{site.lines[0]} {site.operation}"
        for site in aws_calls.sites(ROOT / "functions")
        if not any(site.makes(call) for call in made)
    ]
    assert not unmade, f"Add calls of functions to tests/aws_calls.py that make these requests: {unmade}"
    assert len(list(aws_calls.sites(ROOT / "functions"))) > 15, "found no calls in the code"


def test_every_request_of_a_function_matches_its_model() -> None:
    wrong = {
        f"{call.function} {call.operation}: {fault}"
        for call in aws_calls.calls()
        for fault in faults(call.params, call.shape)
    }
    assert not wrong


@pytest.mark.parametrize(
    ("service", "operation", "params", "fault"),
    [
        ("s3", "GetObject", {"Bucket": "b"}, 'Missing required parameter in input: "Key"'),
        ("s3", "GetObject", {"Bucket": "b", "Key": "k", "Version": "v"}, "Unknown parameter"),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "StorageClass": "UNKNOWN"}, "StorageClass"),
        ("stepfunctions", "StartExecution", {"stateMachineArn": "a", "name": "n" * 81}, "name"),
        ("sns", "Publish", {"TopicArn": 1, "Message": "m"}, "Invalid type"),
        ("lambda", "Invoke", {"FunctionName": "f", "InvocationType": "Later"}, "InvocationType"),
        ("lambda", "Invoke", {"FunctionName": "no such name!"}, "FunctionName"),
    ],
)
def test_a_wrong_shape_is_found(service: str, operation: str, params: dict[str, Any], fault: str) -> None:
    shape = harness._session().client(service).meta.service_model.operation_model(operation).input_shape
    assert fault in " ".join(faults(params, shape))


def faults(params: Mapping[str, Any], shape: Any) -> list[str]:
    """The errors in a request's parameters: those that botocore reports, and those that only its model shows."""
    report = ParamValidator().validate(dict(params), shape)
    return [*(report.generate_report().splitlines() if report.has_errors() else []), *_beyond(params, shape, "")]


def _beyond(value: Any, shape: Any, place: str) -> Iterator[str]:
    """Values that are not in an enum, too long, or do not match the model's pattern."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, member in shape.members.items():
            if name in value:
                yield from _beyond(value[name], member, f"{place}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for item in value:
            yield from _beyond(item, shape.member, f"{place}[]")
    elif shape.type_name == "string" and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{place} is {value}, not one of {shape.enum}"
        if len(value) > shape.metadata.get("max", len(value)):
            yield f"{place} is longer than {shape.metadata['max']}"
        if (pattern := shape.metadata.get("pattern")) and not re.fullmatch(pattern, value):
            yield f"{place} is not of the pattern {pattern}"


def test_every_request_of_the_command_line_matches_a_model() -> None:
    found = list(requests_of_the_cli())
    assert len(found) > 25, "found no calls in the code"
    wrong = [
        f"{place}: {method}({', '.join(sorted(given))})"
        for place, method, given, whole in found
        if not any(fits(shape, given, whole) for shape in shapes()[method])
    ]
    assert not wrong


def requests_of_the_cli() -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """The place of each request, its method, its named parameters, and whether it has no others.

    A value is a constant where the code has one, else Ellipsis.
    """
    for path in sorted((ROOT / "src" / "pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.keywords):
                continue
            method = node.func.attr
            if method == "paginate" and isinstance(node.func.value, ast.Call) and node.func.value.args:
                operation = node.func.value.args[0]
                method = operation.value if isinstance(operation, ast.Constant) else ""
            if method not in shapes():
                continue
            given = {one.arg: constant(one.value) for one in node.keywords if one.arg and one.arg != "PaginationConfig"}
            yield f"{path.relative_to(ROOT)}:{node.lineno}", method, given, all(one.arg for one in node.keywords)


def constant(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def fits(shape: Any, given: Mapping[str, Any], whole: bool) -> bool:
    """Whether a request has only these parameters, all required ones, and constants with valid values."""
    if not set(given) <= set(shape.members) or (whole and not set(shape.required_members) <= set(given)):
        return False
    constants = {name: value for name, value in given.items() if value is not ...}
    return not list(_beyond(constants, shape, ""))


@cache
def shapes() -> Mapping[str, list[Any]]:
    """The shapes of the parameters of operations, by client method."""
    found = defaultdict(list)
    for service in OF_THE_CLI:
        model = harness._session().client(service).meta.service_model
        for operation in model.operation_names:
            if shape := model.operation_model(operation).input_shape:
                found[xform_name(operation)].append(shape)
    return found


def test_every_listing_of_destroy_exists_with_its_parameters() -> None:
    for service, operation, result, narrowing in deploy._LISTINGS:
        client = harness._session().client(service)
        assert client.can_paginate(operation), f"{service} {operation}"
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        assert narrowing is None or narrowing in model.input_shape.members, f"{service} {operation}: {narrowing}"
        listed = model.output_shape.members[result.partition("[")[0]].member
        assert not (field := result.partition("[].")[2]) or field in listed.members, f"{service} {operation}: {field}"
