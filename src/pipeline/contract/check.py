"""Checks a contract's folder with the examples in its schemas. Needs no file from a producer."""

import json
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from functions.common.contract import Contract, Version, load_contract
from functions.common.errors import (
    ContractError,
    NoValidRecordsError,
    PipelineError,
    ReconciliationError,
    TooManyRejectsError,
)
from functions.common.record_types import merged
from functions.common.reject_codes import CODES, NULL_KEY, SUPERSEDED
from pipeline.contract.athena import saved_query_faults
from pipeline.contract.documents import document_faults, pointer_of
from pipeline.contract.extremes import try_extremes
from pipeline.contract.fault import Fault, line_at
from pipeline.contract.outcomes import lines_of, tried
from pipeline.contract.queries import query_faults
from pipeline.contract.schemas import null_warnings, schema_faults
from pipeline.contract.tables import cast_warnings, key_faults

_LOADING = re.compile(r"contracts/[^/]+/(\S+) cannot be used: (.*) \(\w+\)\.$", re.DOTALL)
_AS_DESCRIBED = "See docs/reference/contract.md for the format."


def check(folder: Path) -> list[Fault]:
    """Return the faults in the contract in `folder`, sorted by file and line."""
    if faults := document_faults(folder):
        return sorted(faults)
    try:
        contract = load_contract(folder.name, folder.parent)
    except PipelineError as exc:
        return [_loading_fault(folder, str(exc))]
    faults = [*_code_faults(folder, contract), *schema_faults(folder, contract), *query_faults(folder, contract)]
    faults += saved_query_faults(folder)
    faults = faults or list(key_faults(folder, contract))
    faults = faults or list(_example_faults(folder, contract))
    return sorted(faults or _extreme_faults(folder, contract))


def warnings(folder: Path) -> list[Fault]:
    """Return warnings about valid records that could be rejected. The contract in `folder` must have no faults."""
    contract = load_contract(folder.name, folder.parent)
    of_casts = list(cast_warnings(folder, contract))
    of_values = {
        fault
        for version in contract.versions
        for fault, column in try_extremes(folder, contract, version).warnings.items()
        if not any(one.says.startswith(f"{column} is ") for one in of_casts)
    }
    return sorted([*of_casts, *of_values, *null_warnings(folder, contract)])


def _extreme_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Yield the faults that would fail a file of schema-valid records."""
    for version in contract.versions:
        yield from try_extremes(folder, contract, version).faults


def _loading_fault(folder: Path, says: str) -> Fault:
    """Return the fault that prevents a contract from being loaded."""
    found = _LOADING.match(says)
    if not found:
        return Fault(folder / "contract.json", 1, says, "Give a folder of contracts/ that has a contract.json.")
    path, fault = folder / found[1], found[2]
    if broken := re.search(r"line (\d+) column \d+", fault):
        return Fault(path, int(broken[1]), fault, "Correct the JSON.")
    try:
        line = line_at(path, pointer_of(fault, json.loads(path.read_text("utf-8"))))
    except (OSError, ValueError):
        line = 1
    return Fault(path, line, fault, _AS_DESCRIBED)


def _code_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    path = folder / "contract.json"
    for number, rule in enumerate(contract.rules):
        if rule.code in CODES:
            says = f"the rule's code {rule.code} is reserved for the pipeline"
            yield Fault(path, line_at(path, f"/rules/{number}/code"), says, "Choose another code.")


def _example_faults(folder: Path, contract: Contract) -> Iterator[Fault]:
    """Run a file of each version's examples through the functions' own code, and yield the faults that it finds."""
    for version in contract.versions:
        schema = version.schema
        yield from _of_examples(folder, version, lines_of(schema["examples"]))
        bare = [_without_optional(example, schema, schema) for example in schema["examples"]]
        yield from _of_bare_examples(folder, version, lines_of(bare))
        for place, repeating in _with_a_repeated_element(schema["examples"]).items():
            yield from _of_repeated_element(folder, version, place, lines_of([repeating]))


def _with_a_repeated_element(examples: Sequence[Any]) -> dict[str, Any]:
    """Return the first example for each non-empty array, with an element repeated, by JSON Pointer (`*` as index)."""
    found: dict[str, Any] = {}
    for example in examples:
        for path, place in _arrays(example):
            repeating = deepcopy(example)
            array = reduce(getitem, path, repeating)
            array.append(array[0])
            found.setdefault(place, repeating)
    return found


def _arrays(
    value: Any, path: tuple[str | int, ...] = (), place: str = ""
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every non-empty array as its path in the value and its JSON Pointer, with `*` for indexes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _arrays(inner, (*path, name), f"{place}/{name}")
    elif isinstance(value, list) and value:
        yield path, place
        for number, element in enumerate(value):
            yield from _arrays(element, (*path, number), f"{place}/*")


def _of_repeated_element(folder: Path, version: Version, place: str, lines: list[bytes]) -> Iterator[Fault]:
    """Yield a fault if a record with a repeated element fails the whole file. Rejecting the record is not a fault."""
    with tried(lines, folder) as result:
        if result.error in (ReconciliationError.__name__, ContractError.__name__):
            says = f"an example of version {version.number} with an element of {place} twice: {result.cause}"
            advice = "Give the table latest_by, or reject such records with the schema or a rule."
            yield Fault(folder / "contract.json", 1, says, advice)


def _without_optional(value: Any, schema: Any, root: Any) -> Any:
    """Return an example without its optional members at any depth."""
    part = merged(schema, root)
    if isinstance(value, dict):
        properties, required = part.get("properties", {}), part.get("required", [])
        return {
            name: _without_optional(value[name], properties.get(name, {}), root) for name in value if name in required
        }
    if isinstance(value, list):
        return [_without_optional(element, part.get("items", {}), root) for element in value]
    return value


def _of_bare_examples(folder: Path, version: Version, lines: list[bytes]) -> Iterator[Fault]:
    """Yield a fault if records without optional members fail the file, or lack a value for a key.

    Records that a rule rejects are not a fault.
    """
    with tried(lines, folder) as result:
        rejects = [json.loads(line) for line in result.reject_lines()]
        for says in sorted({one["errors"][0]["message"] for one in rejects if one["reason"] == NULL_KEY}):
            says = f"an example of version {version.number} without its optional fields is rejected: {says}"
            yield Fault(folder / "contract.json", 1, says, "Make the fields of keys required.")
        if result.error in (ReconciliationError.__name__, ContractError.__name__):
            says = f"the examples of version {version.number} without their optional fields: {result.cause}"
            advice = "Make the fields of keys and references required, and accept null for the others in the SQL."
            yield Fault(folder / "contract.json", 1, says, advice)


def _of_examples(folder: Path, version: Version, lines: list[bytes]) -> Iterator[Fault]:
    schema = folder / f"v{version.number}.schema.json"
    starts = {sum(map(len, lines[:number])): number for number in range(len(lines))}
    with tried(lines, folder) as result:
        rejects = [json.loads(line) for line in result.reject_lines()]
        for reject in rejects:
            if reject["reason"] != SUPERSEDED:
                line = line_at(schema, f"/examples/{starts[reject['position']]}{reject['errors'][0]['pointer']}")
                yield Fault(
                    schema,
                    line,
                    f"the example is rejected: {reject['errors'][0]['message']}",
                    "Correct the example or the schema.",
                )
        if result.error and result.error not in (NoValidRecordsError.__name__, TooManyRejectsError.__name__):
            advice = "Correct the table's SQL, or the keys, references and control totals in contract.json."
            yield Fault(
                folder / "contract.json", 1, f"the examples of version {version.number}: {result.cause}", advice
            )
