"""Recognises an object that has the record inside one of its members, as some delivery tools send it."""

from functions.common.contract import Version
from functions.common.diagnoses.misplaced import has_types_of_dynamodb
from functions.common.reject_codes import MISSING_FIELD, Reason
from functions.common.reject_lines import is_name, shown_step


def wrapper_of(record: object, version: Version) -> Reason | None:
    """Return a reason if most required fields are inside one of the record's members, and few in the record itself."""
    required = set(version.schema.get("required", ()))
    if not isinstance(record, dict) or not required or len(required & record.keys()) * 2 > len(required):
        return None
    fields = version.fields
    inner = {name: value for name, value in record.items() if isinstance(value, dict) and is_name(name)}
    for name, value in inner.items():
        is_wrapped = name not in fields and len(required & value.keys()) * 2 > len(required)
        if is_wrapped and not has_types_of_dynamodb(value):  # sending that object alone doesn't help
            pointer = f"/{shown_step(name)}"
            message = f"the fields of the record are under {pointer}: send the object under {pointer} as the record"
            return Reason(MISSING_FIELD, pointer, "required", message)
    return None
