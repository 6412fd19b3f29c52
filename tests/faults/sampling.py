"""A deterministic sample of a product of cases. `make test-long` runs the rest."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def sampled(*axes: Iterable[Any], every: int) -> list[Any]:
    """All combinations of the axes as parameters. All but every `every`th in each row and column are marked `long`."""
    combinations = product(*map(list, map(enumerate, axes)))
    return [
        pytest.param(*values, marks=[] if sum(places) % every == 0 else pytest.mark.long)
        for places, values in (zip(*combination, strict=True) for combination in combinations)
    ]
