"""Writes DRAFT.md, which says what was decided, why, and what is still open. It has no values of the sample."""

import json
from collections.abc import Iterator, Sequence

from functions.common.json_pointer import pointer_of
from pipeline.console import many
from pipeline.draft.names import snake, words_of
from pipeline.draft.personal_data import is_contact, is_personal
from pipeline.draft.questions import places
from pipeline.draft.sample import Sample
from pipeline.draft.tables import DraftPlan
from pipeline.draft.totals import Total
from pipeline.draft.types import AMOUNT_WORDS, EMPTY, NEARLY_ALL

NAME = "DRAFT.md"


def document(
    plan: DraftPlan, sample: Sample, questions: Sequence[str], notes: Sequence[str], proposals: Sequence[str]
) -> str:
    """Return the text of DRAFT.md."""
    lines = [
        f"# Draft of the contract {plan.dataset}",
        "",
        f"Drafted from {many(sample.records, 'record')} in {many(len(sample.files), 'file')}. Check the decisions, "
        "answer the questions, and delete this file. It is not deployed.",
    ]
    sections = (
        ("Questions", [f"{number}. {one}" for number, one in enumerate(questions, 1)]),
        ("Input", [f"- {one}" for one in _input(sample)]),
        ("Tables", [f"- `{one.name}`, key {', '.join(one.key)}: {one.why}." for one in plan.tables]),
        ("Columns", [*_columns(plan)]),
        ("Also decided", [f"- {one}" for one in (*_rules(plan), *notes, *plan.notes)]),
        ("Without a column", [f"- {one}" for one in _left_out(plan)]),
        ("Personal data", [f"- `{one}`" for one in personal_columns(plan)]),
        ("Proposed rules and totals", list(proposals)),
    )
    for title, content in sections:
        if content:
            lines += ["", f"## {title}", "", *content]
    return "\n".join(lines) + "\n"


def _input(sample: Sample) -> Iterator[str]:
    yield f"Records: {sample.place.why}."
    yield f"Layout: {sample.layout}" + (
        f", compressed with {', '.join(sample.compressions)}." if sample.compressions else "."
    )
    if sample.format:
        yield f"The names of some files don't show their format, so `format` is `{sample.format}`."
    if sample.ignored:
        yield f"Not JSON, or hidden: {many(len(sample.ignored), 'file')} of the named folders."
    if sample.sidecars:
        yield f"Files with other content than all others, which `ignore` excludes: {', '.join(sample.sidecars)}."
    yield (
        "`unknown_fields` is `keep`: records with new fields are published, and the column `_extra` has these "
        "fields. `pipeline contract draft --update` gives them columns."
    )


def _columns(plan: DraftPlan) -> Iterator[str]:
    yield "| column | type | from | why |"
    yield "| --- | --- | --- | --- |"
    for table in plan.tables:
        for one in table.columns:
            if one.field:
                empty = "" if one.field.required and not one.field.nullable else ", may be missing or null"
                name, why = f"`{table.name}.{one.name}`", f"{one.field.why}{empty}"
                yield f"| {name} | {one.type} | {_cell(one.pointer)} | {_cell(why)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _rules(plan: DraftPlan) -> Iterator[str]:
    yield (
        f"If at least {NEARLY_ALL:.0%} of a field's values have one type, it is the rule. Records with other values "
        "are rejected. Below that, the field becomes JSON or a string."
    )
    yield "A field is required if at least 100 records have it, and none lacks it. All others may be missing or null."


def _left_out(plan: DraftPlan) -> Iterator[str]:
    for pointer, field in places(plan.record):
        if field.kind == EMPTY and not field.node.objects:
            yield f"{pointer}: {field.why}. A record with another value is rejected until the contract is updated."
        elif field.kind == EMPTY and not field.members:
            yield f"{pointer}: {field.why}. If it gets members, they are in `_extra`."
    for name, why in plan.record.left.items():
        yield f"/{name}: {why}. Its values are in `_extra`."


def proposals(totals: Sequence[Total], plan: DraftPlan) -> list[str]:
    """Return the lines that propose rules and control totals, ready to be copied to contract.json."""
    rules = [
        {
            "code": total.code,
            "pointer": pointer_of([total.field]),
            "sql": total.sql,
            "message": f"must be {total.says}",
        }
        for total in totals
    ]
    table = plan.record_table
    sums = [
        {"name": one.name, "record_sql": one.sql, "table": table.name, "column": one.name}
        for one in table.columns
        if one.field and one.type.startswith("DECIMAL") and AMOUNT_WORDS & set(words_of(one.field.name))
    ]
    lines = []
    if rules:
        lines += ["These sums hold in all records. To reject records in which they don't, add to `contract.json`:", ""]
        lines += ["```json", f'"rules": {json.dumps(rules, indent=2, ensure_ascii=False)}', "```"]
    if sums:
        lines += [""] * bool(lines) + ["To have these sums reconciled in every file, add to `contract.json`:", ""]
        lines += ["```json", f'"control_totals": {json.dumps(sums, indent=2, ensure_ascii=False)}', "```"]
    return lines


def personal_columns(plan: DraftPlan) -> list[str]:
    """Return the columns that look like personal data, as table.column."""
    found = []
    contacts = [
        one.pointer.split("/")[:-1]
        for table in plan.tables
        for one in table.columns
        if one.field and is_contact(one.field.node)
    ]
    for table in plan.tables:
        for one in table.columns:
            steps = one.pointer.split("/")
            holder = next((step for step in reversed(steps[:-1]) if step != "*"), "")
            own = one.field.node if one.field else None
            is_of_person = own and snake(own.name) == "name" and steps[:-1] in contacts
            if own and (is_of_person or is_personal(own, snake(holder) or table.name)):
                found.append(f"{table.name}.{one.name}")
    return found
