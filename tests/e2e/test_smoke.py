"""What `pipeline smoke` tries, on the embedded AWS: each check that it can be asked, and the omissions by name."""

from collections.abc import Iterator

import pytest

from pipeline.smoke.checks import CHECKS, run_check
from pipeline.smoke.model import Check, Outcome
from pipeline.smoke.trial import Trial, listening
from pipeline.targets import Target

OMITTED = {
    "metrics": "makes no metrics of what functions log",
    "who takes on a role": "enforces no trust policy",
    "the definition": "takes every definition for valid",
    "state ProcessChunks, all well": "tries no Map by itself",
    "state ProcessChunks, a chunk fails": "tries no Map by itself",
    "state Write, a fault that passes": "looks at Catch before Retry when it tries a state by itself",
    "Athena's views": "knows no views; their SQL is tested on DuckDB",
}
"""Everything that is only tried on AWS, and why; docs/engineering.md lists it too."""


@pytest.fixture(scope="module")
def trial(place: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with listening(place) as ear:
        yield Trial(place, tmp_path_factory.mktemp("smoke"), ear)


@pytest.mark.parametrize("check", [check for check in CHECKS if check.name not in OMITTED], ids=lambda c: c.name)
def test_check_holds(trial: Trial, check: Check) -> None:
    result = run_check(trial, check)
    assert result.outcome is Outcome.OK, result.detail


def test_what_is_omitted_is_known_and_said(trial: Trial) -> None:
    omitted = {check.name: run_check(trial, check) for check in CHECKS if check.name in OMITTED}
    assert {name: result.detail for name, result in omitted.items()} == {
        name: f"the embedded AWS {why}" for name, why in OMITTED.items()
    }
    assert {result.outcome for result in omitted.values()} == {Outcome.OMITTED}
