"""Every row of the table of faults has a test."""

from importlib import import_module
from pathlib import Path

from tests.faults import fault_table


def test_every_fault_has_a_test() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        import_module(f"{__package__}.{path.stem}")
    without = [fault for fault, tests in fault_table.covered_by.items() if not tests]
    assert not without, f"write tests for these, marked with @survives(...): {without}"
