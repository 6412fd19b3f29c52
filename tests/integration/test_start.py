"""What a function loads and creates at a cold start, and what it defers until it is needed."""

import subprocess
import sys

import pytest

from functions.common import aws
from pipeline import ROOT
from pipeline.deploy import build

SELDOM = {"boto3", "s3transfer", "aws_lambda_powertools.utilities.data_classes"}
"""Modules that are slow to load and rarely needed."""

FOR_SQL = {"duckdb", "functions.common.contract"}

ON_LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_DEFAULT_REGION": "eu-central-1"}
"""The environment that a start needs, without any settings."""


@pytest.mark.parametrize("function", build.FUNCTIONS)
def test_a_cold_start_creates_the_client_and_loads_no_rarely_used_module(function: str) -> None:
    code = f"import sys, functions.{function}.index; from functions.common import s3_utils as s3\n"
    code += "print(s3.client.cache_info().currsize, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=ON_LAMBDA, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    clients, *loaded = done.stdout.split()
    assert clients == "1"
    assert not (SELDOM if "sql" in build.FUNCTIONS[function] else SELDOM | FOR_SQL) & set(loaded)


def test_clients_are_created_before_their_use_only_on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    aws.make_at_start(lambda: made.append("elsewhere"))
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    aws.make_at_start(lambda: made.append("on Lambda"))
    assert made == ["on Lambda"]
