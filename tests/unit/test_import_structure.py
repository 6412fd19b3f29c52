"""The packages of the command line import each other in only one direction."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from pipeline import ROOT

PIPELINE = ROOT / "src" / "pipeline"


def part_of(module: str) -> str:
    """The feature or top-level module of `pipeline.<part>...`."""
    return module.split(".")[1]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
            yield from (f"pipeline.{alias.name}" for alias in node.names if not alias.name.isupper())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("pipeline."))


def graph() -> dict[str, set[str]]:
    """The parts that each part of the command line imports."""
    parts: dict[str, set[str]] = {}
    for path in PIPELINE.rglob("*.py"):
        own = path.relative_to(PIPELINE).parts[0].removesuffix(".py")
        parts.setdefault(own, set()).update({part_of(module) for module in imported(path)} - {own})
    return parts


def test_features_do_not_import_each_other() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the cycle


def test_only_the_command_line_itself_imports_every_feature() -> None:
    features = {path.name for path in PIPELINE.iterdir() if (path / "__init__.py").is_file()}
    assert [part for part, others in graph().items() if features <= others] == ["cli"]
