"""Large attacks end with their outcome within seconds and megabytes: memory does not grow with the file."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline import ROOT
from tests.hostile.attacks import ATTACKS, LONG, Attack

pytestmark = pytest.mark.slow

SECONDS = 60
"""Twenty times what an attack takes on a slow machine; what grows with the square of its size is far above."""


def attack(*names: str) -> dict[str, Mapping[str, Any]]:
    """The outcome of one attack, or of all, in a separate process."""
    command = [sys.executable, "-m", "tests.hostile.attacks", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {result["name"]: result for result in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def attacked() -> dict[str, Mapping[str, Any]]:
    return attack()


def check(planned: Attack, result: Mapping[str, Any]) -> None:
    assert result["outcome"] == planned.outcome
    grown, most = result["grown"] >> 20, planned.most >> 20
    assert grown <= most, f"the process grew by {grown} MiB; the limit is {most} MiB"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_has_its_outcome_within_the_limits(name: str, attacked: Mapping[str, Mapping[str, Any]]) -> None:
    check(ATTACKS[name], attacked[name])
    assert attacked[name]["seconds"] < SECONDS


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_a_long_attack_has_its_outcome_within_the_limits(name: str) -> None:
    check(LONG[name], attack(name)[name])
