"""Contracts that are drafted from samples, deployed: the pipeline publishes every value of the samples."""

import json
from pathlib import Path

import pytest

from pipeline import ROOT
from tests.e2e.conftest import DRAFTED, Pipeline
from tests.integration.draft_samples import SAMPLES
from tests.integration.flattening import assert_same, records_at


@pytest.mark.parametrize("dataset", DRAFTED)
def test_a_drafted_contract_works_when_it_is_deployed(dataset: str, pipeline: Pipeline) -> None:
    text = SAMPLES[DRAFTED[dataset]]
    outcome = pipeline.run(text.encode(), DRAFTED[dataset], dataset)
    assert outcome.manifest, outcome.cause
    contract = ROOT / "build" / "e2e-contracts" / dataset
    given = json.loads((contract / "contract.json").read_text("utf-8"))["input"]
    records = records_at(given.get("records", ""), text)
    assert (outcome.manifest.counts.published, outcome.manifest.counts.rejected) == (len(records), 0)
    [tables] = {path.parent for path in pipeline.tables(outcome).values()}
    assert_same(contract, Path(tables), records)
