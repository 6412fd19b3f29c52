"""The calculations of the benchmark on invented measurements: units, sums, medians, ratios, result format."""

import json
import platform
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import generate_data
from bench import machine, matrix, matrix_data, ours, process
from bench.__main__ import _options, _plan
from bench.child import measure, peak_rss_bytes
from bench.errors import BenchError
from bench.figures import Measured, Series, results, with_total
from bench.inputs import Input
from bench.picture import bars, pictures
from bench.process import ROOT, Sample
from bench.report import report, table
from bench.session import QUICK, Plan, _check_orders, _check_same_rows
from bench.subjects import FLOOR, PEERS
from functions.common import s3_utils
from functions.common.config import settings
from pipeline.contract.folder_storage import FolderStorage

MB, GB = 10**6, 10**9


def sample(cpu: float, peak_mb: float = 1.0, **rows: int) -> Sample:
    return Sample(cpu, cpu * 2, int(peak_mb * MB), startup_cpu_seconds=0.25, rows=rows)


def steps(n_bytes: int, *rounds: tuple[float, float, float]) -> dict[str, Series]:
    return {
        step: Series(n_bytes, [sample(cpu[at], peak_mb=100 * (at + 1)) for cpu in rounds])
        for at, step in enumerate(ours.STEPS)
    }


def measured() -> Measured:
    starts = {function: [300.0, 100.0, 200.0] for function in ours.FUNCTIONS}
    return Measured(
        local={
            "reference": steps(100 * MB, (2, 1, 1), (8, 1, 1), (2, 2, 1)),
            "big": steps(GB, (20, 10, 10)),
        },
        endpoint=steps(100 * MB, (3, 2, 3)),
        peers={one.name: Series(round(100 * MB * one.share), [sample(10 * one.share)]) for one in PEERS},
        floor={one.name: Series(100 * MB, [sample(0.5)]) for one in FLOOR},
        cold_start_ms={"venv": starts, "zip": starts},
        warm_ms={"wall": {name: [10.0, 30.0] for name in ours.FUNCTIONS}, "cpu": starts},
    )


def run_facts() -> dict[str, Any]:
    return {
        "date": "2026-01-02T03:04:05Z",
        "rounds": 3,
        "machine": machine.facts(),
        "load": {"before": 0.1, "after": 0.2},
        "inputs": {"reference": {"orders": 150_000, "bytes": 100 * MB}, "big": {"orders": 1_500_000, "bytes": GB}},
        **results(measured()),
    }


def test_a_series_is_reduced_to_its_median_in_decimal_units() -> None:
    series = Series(500 * MB, [sample(4), sample(100, peak_mb=7), sample(5)])
    assert series.cpu_seconds == 5
    assert series.mb_per_cpu_second == 100
    assert series.cpu_seconds_per_gb == 10
    assert series.wall_seconds == 10
    assert series.peak_rss_mb == 7, "of memory the highest counts"
    assert series.detail()["cpu_seconds"] == {"median": 5, "min": 4, "max": 100}


def test_the_total_is_the_median_of_the_sums_of_each_round() -> None:
    total = with_total(steps(100 * MB, (2, 1, 1), (8, 1, 1), (2, 2, 1)))["total"]
    assert [one.cpu_seconds for one in total.samples] == [4, 10, 5]
    assert total.cpu_seconds == 5, "the sum of the steps' medians would be 4"
    assert total.peak_rss_mb == 300, "steps run one after the other"
    assert total.samples[0].wall_seconds == 8
    assert total.samples[0].startup_cpu_seconds == 0.75


def test_the_results_have_the_promised_shape() -> None:
    found = results(measured())
    assert found["cpu_seconds_per_gb"] == {"validate": 20, "transform": 10, "write": 10, "total": 50}
    assert found["mb_per_cpu_second"]["total"] == 20
    assert found["peak_rss_mb"]["write"] == {"reference": 300, "big": 300}
    assert found["peak_rss_mb"]["total"] == {"reference": 300, "big": 300}
    assert set(found["ratio"]) == {one.name for one in PEERS}
    assert found["cold_start_ms"]["venv"]["starter"] == {"median": 200, "min": 100, "max": 300}
    assert found["warm_100_orders_ms"]["wall"]["total"] == {"median": 80, "min": 40, "max": 120}
    assert found["detail"]["s3_endpoint"]["total"]["cpu_seconds"]["median"] == 8
    assert json.loads(json.dumps(found)) == found


def test_a_ratio_is_per_byte_where_the_other_tool_read_a_share_of_the_file() -> None:
    for name, ratio in results(measured())["ratio"].items():
        assert ratio == 2, f"{name}: 20 MB per CPU-second against 10"


def test_the_results_contain_nothing_that_identifies_the_machine() -> None:
    text = json.dumps(run_facts() | {"versions": machine.versions(), "commit": machine.commit()})
    for private in (str(ROOT), str(Path.home()), sys.prefix):
        assert private not in text, f"the results contain {private}"
    assert platform.node() not in machine.facts().values()


def test_the_report_names_every_figure_and_what_each_leaves_out() -> None:
    text = report(run_facts())
    for one in PEERS:
        assert one.title in text
        assert one.leaves_out in text
        assert one.one_thread in text
    assert "2.00 ×" in text
    assert "50.0" in text


def test_columns_are_as_wide_as_they_need() -> None:
    assert table(["what", "MB"], [["a", "1"], ["bcdef", "10"]]).splitlines() == [
        "what   MB",
        "─────  ──",
        "a       1",
        "bcdef  10",
    ]


def test_the_charts_are_self_contained_svg_for_both_color_schemes() -> None:
    drawn = pictures(run_facts())
    assert set(drawn) == {"speed-light.svg", "speed-dark.svg"}
    for name, svg in drawn.items():
        shown = "\n".join(ET.fromstring(svg).itertext())
        assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', ""), f"{name} loads something"
        for bar in bars(run_facts()):
            assert bar.title in shown
            assert bar.remark in shown
    assert drawn["speed-light.svg"] != drawn["speed-dark.svg"]


def test_bars_begin_with_the_fastest() -> None:
    drawn = bars(run_facts())
    assert [bar.speed for bar in drawn] == sorted((bar.speed for bar in drawn), reverse=True)
    assert [bar.title for bar in drawn if bar.is_ours] == ["this pipeline"]


def test_arguments_outrank_the_plan() -> None:
    assert _plan(_options([])) == Plan()
    assert _plan(_options(["--quick"])) == QUICK
    assert _plan(_options(["--rounds", "5", "--orders", "7"])) == Plan(orders=7, rounds=5)


def test_a_tool_that_loses_rows_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="wrote 9 of 10 orders"):
        _check_orders("x", sample(1, orders=9), Input(10, tmp_path))
    own = sample(1, orders=10, items=20)
    _check_same_rows(own, {"has no items": [sample(1, orders=10)], "got a share": [sample(1, orders=1, items=2)]})
    with pytest.raises(BenchError, match="lossy"):
        _check_same_rows(own, {"lossy": [sample(1, orders=10, items=19)]})


def test_versions_are_read_from_the_lock() -> None:
    lock = ["polars==2.1.0 \\", "    --hash=sha256:00", "polars-runtime-32==9 \\", "numpy==2 ; python_version < '4' \\"]
    assert machine.locked(["polars", "numpy"], lock) == {"polars": "2.1.0", "numpy": "2"}


def test_work_is_measured_in_its_own_process() -> None:
    taken, answer = measure(lambda: sum(range(10**5)))
    assert answer == 4999950000
    assert 0 < taken["wall_seconds"] < 60
    assert 0 <= taken["cpu_seconds"] < 60
    assert MB < taken["peak_rss_bytes"] <= peak_rss_bytes()


def test_a_process_reports_its_measurements_or_its_error(tmp_path: Path) -> None:
    source = tmp_path / "x.jsonl"
    source.write_bytes(b"{}\n{}\n")
    command = [sys.executable, "-m", "bench.child", "bench.peers.floor"]
    taken = process.measure([*command, "parse", source, tmp_path])
    assert taken.rows == {"orders": 2}
    assert taken.startup_cpu_seconds > 0
    with pytest.raises(BenchError, match="no_such_function"):
        process.measure([*command, "no_such_function", source, tmp_path])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FolderStorage]:
    """A folder that replaces S3, including in the steps."""
    for name, value in {**ours.ENVIRONMENT, ours.FOLDER: str(tmp_path / "s3")}.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    ours._storage.cache_clear()
    yield ours._storage()
    settings.cache_clear()
    ours._storage.cache_clear()


def test_a_folder_behaves_like_s3(folder: FolderStorage, tmp_path: Path) -> None:
    assert folder.head("b", "k") is None
    assert folder.get_bytes("b", "k") is None
    assert folder.put_new("b", "k", b"0123456789")
    assert not folder.put_new("b", "k", b"other")
    assert folder.get_bytes("b", "k") == b"0123456789"
    assert b"".join(folder.read_blocks("b", "k", "1", start=4)) == b"456789"
    folder.download("b", "k", tmp_path / "copy")
    uploaded = folder.publish(tmp_path / "copy", "b", "folder/again", "text/plain")
    head = folder.head("b", "folder/again")
    assert head is not None
    assert (head["ContentLength"], head["Metadata"]["sha256"]) == (10, uploaded["sha256"])
    assert list(folder.list_objects("b", "folder/")) == [("folder/again", 10)]
    with pytest.raises(ClientError) as missing:
        folder.download("b", "none", tmp_path / "none")
    assert s3_utils.is_missing(missing.value)


def test_the_adapter_runs_every_step(folder: FolderStorage, tmp_path: Path) -> None:
    source = tmp_path / "orders.jsonl"
    generate_data.write(source, 10)
    ours.upload(source)
    for step in ours.STEPS:
        ours.step(step, tmp_path / step)
    rows = json.loads((tmp_path / "write").read_text())["rows"]
    assert rows["orders"] == 10
    assert rows["items"] >= 10


def test_the_adapter_sets_every_setting(folder: FolderStorage) -> None:
    for name in ("processed_bucket", "chunk_bytes", "max_reject_ratio", "memory_mb", "state_machine_arn"):
        assert getattr(settings(), name)


def test_every_subject_lists_what_it_omits() -> None:
    names = [one.name for one in (*PEERS, *FLOOR)]
    assert len(names) == len(set(names))
    for one in (*PEERS, *FLOOR):
        assert one.leaves_out
        assert (ROOT / f"{one.module.replace('.', '/')}.py").is_file()
        assert 0 < one.share <= 1


def test_the_matrix_runs_every_shape_with_small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(matrix_data, "_FOLDER", tmp_path)
    monkeypatch.setattr(process, "WORK", tmp_path / "work")
    found = matrix.measure_matrix(matrix.Plan(orders=40, growth=4, rounds=1))
    assert set(found["shapes"]) == {shape.name for shape in matrix_data.SHAPES}
    assert found["shapes"][matrix_data.REFERENCE]["ratio"]["median"] == 1
    assert all(shape.says in matrix.report(found["shapes"]) for shape in matrix_data.SHAPES)


def test_a_shape_is_compared_with_the_reference_of_the_same_round() -> None:
    samples = {"reference": [sample(1), sample(10), sample(2)], "shop": [sample(4), sample(30), sample(2)]}
    smaller = {name: sample(1, peak_mb=50) for name in samples}
    found = matrix.results(samples, {"reference": 10 * MB, "shop": 20 * MB}, smaller)
    assert found["shop"]["ratio"] == {"median": 1.5, "min": 0.5, "max": 2}
    assert found["shop"]["peak_rss_mb_of_smaller"] == 50
    assert matrix.too_slow(found) == []
    found["shop"]["ratio"]["median"] = 1.51
    assert matrix.too_slow(found) == ["shop"]
