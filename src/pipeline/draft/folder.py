"""Writes the folder of a drafted contract."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from functions.common.input_settings import KEEP
from pipeline.draft.schema import schema_of
from pipeline.draft.sql import files_of, record_id_sql
from pipeline.draft.tables import DraftPlan, DraftTable
from pipeline.draft.totals import Total, correct


def contract_files(plan: DraftPlan, given: Mapping[str, Any], totals: Sequence[Total]) -> dict[str, str]:
    """Return the files of a contract by name. `given` has the members of `input` that the sample decides.

    The example in the schema has correct totals, so that their rules can be added.
    """
    schema = schema_of(plan.record, f"A record of {plan.dataset}, version 1")
    for example in schema["examples"]:
        correct(example, totals)
    return {
        "contract.json": _json(contract_of(plan, given)),
        "v1.schema.json": _json(schema),
        **files_of(plan),
    }


def contract_of(plan: DraftPlan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of contract.json."""
    derived = {}
    if plan.record_id:
        described = "The record's position in its file, and a hash of its content."
        derived = {"derived": [{"name": plan.record_id, "sql": record_id_sql(plan), "description": described}]}
    return {
        "dataset": plan.dataset,
        "description": f"Drafted from a sample; see DRAFT.md. One record is one row of {plan.record_table.name}.",
        "current_version": 1,
        "input": {**given, "unknown_fields": KEEP},
        "record_table": plan.record_table.name,
        **derived,
        **({"rules": plan.rules} if plan.rules else {}),
        "tables": [_table(table) for table in plan.tables],
    }


def _table(table: DraftTable) -> dict[str, Any]:
    made: dict[str, Any] = {"name": table.name, "description": table.description, "key": table.key}
    if table.latest_by:
        made["latest_by"] = table.latest_by
    if table.references:
        made["references"] = [{"columns": columns, "table": name} for columns, name in table.references]
    made["columns"] = [
        {"name": one.name, "type": one.type, **({"description": one.description} if one.description else {})}
        for one in table.columns
    ]
    return made


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
