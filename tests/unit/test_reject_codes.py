"""Reject codes are an API: each is defined once, in functions/common/reject_codes.py."""

import ast
from pathlib import Path

from functions.common import reject_codes
from functions.common.reject_codes import CODES, SUPERSEDED

ROOT = Path(__file__).parents[2]
HOME = Path(reject_codes.__file__)


def strings(path: Path) -> list[tuple[int, str]]:
    """The string constants of a module that are used as values, each with its line, without member names."""
    tree = ast.parse(path.read_text("utf-8"))
    names = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    names |= {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in names)
    return [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]


def test_no_module_contains_a_literal_reject_code() -> None:
    modules = [path for folder in ("functions", "src/pipeline") for path in (ROOT / folder).rglob("*.py")]
    codes = CODES.keys() - {SUPERSEDED}  # it is also the name of a count and of a table
    written = [
        f"{path.relative_to(ROOT)}:{line} writes {value!r}: import it from functions/common/reject_codes.py"
        for path in modules
        if path != HOME
        for line, value in strings(path)
        if value in codes
    ]
    assert not written, "\n".join(written)


def test_no_module_compares_a_reason_with_a_literal_code() -> None:
    compared = [
        f"{path.relative_to(ROOT)}:{node.lineno}: import SUPERSEDED from functions/common/reject_codes.py"
        for folder in ("functions", "src/pipeline")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare | ast.keyword)
        and any(isinstance(one, ast.Constant) and one.value == SUPERSEDED for one in ast.iter_child_nodes(node))
    ]
    assert not compared, "\n".join(compared)


def test_each_code_is_a_constant_of_its_own_name() -> None:
    assert {code: getattr(reject_codes, code.upper()) for code in CODES} == {code: code for code in CODES}
