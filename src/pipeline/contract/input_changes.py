"""The differences in the `input` sections of two contracts, which say how files of a dataset arrive."""

from collections.abc import Iterator
from typing import Any

from functions.common.config import REJECT
from functions.common.contract import EXTRA, Contract
from functions.common.input_settings import KEEP, InputSettings
from pipeline.contract.change import NEW_VERSION, PRODUCERS, READERS, Change


def input_changes(old: Contract, new: Contract) -> Iterator[Change]:
    """Yield the differences in the settings of `input`, in the older form `envelope`, too."""
    yield from _records(old.input, new.input)
    yield from _format(old.input, new.input)
    yield from _ignore(old.input, new.input)
    yield from _unknown_fields(old, new)
    yield from _max_reject_ratio(old.input, new.input)


def _records(was: InputSettings, now: InputSettings) -> Iterator[Change]:
    place = "contract.json: input.records"
    if was.records and was.records != now.records:
        yield Change(place, "the array of records has another name or place", (PRODUCERS,), NEW_VERSION)
    elif was.records != now.records:
        yield Change(place, "records may be in an envelope now")


def _format(was: InputSettings, now: InputSettings) -> Iterator[Change]:
    place = "contract.json: input.format"
    if was.format and not now.format:
        yield Change(place, "a file without a known suffix fails now", (PRODUCERS,), NEW_VERSION)
    elif now.format and not was.format:
        yield Change(place, "a file without a known suffix is read now")
    elif was.format != now.format:
        yield Change(place, f"was {was.format}, and is {now.format}: decides only if the content could be either")


def _ignore(was: InputSettings, now: InputSettings) -> Iterator[Change]:
    place = "contract.json: input.ignore"
    for pattern in sorted({*now.ignore} - {*was.ignore}):
        yield Change(place, f"files that match {pattern} are no longer read", (PRODUCERS,), NEW_VERSION)
    for pattern in sorted({*was.ignore} - {*now.ignore}):
        says = f"files that match {pattern} are read now; to process those that were ignored, run pipeline backfill"
        yield Change(place, says)


def _unknown_fields(old: Contract, new: Contract) -> Iterator[Change]:
    was, now = (one.input.unknown_fields for one in (old, new))
    if was == now:
        return
    place = "contract.json: input.unknown_fields"
    yield Change(place, _was_and_is(was, now))
    table = new.record_table.name
    if now == KEEP:
        says = f"a new column {EXTRA.name}: null in published files, until pipeline replay --republish"
        yield Change(f"contract.json: tables.{table}.{EXTRA.name}", says)
    if was == KEEP:
        says = "the column is gone"
        yield Change(f"contract.json: tables.{table}.{EXTRA.name}", says, (READERS,), NEW_VERSION)
    if now == REJECT and was:
        says = "a record with a field that the contract does not know is rejected now"
        yield Change(place, says, (PRODUCERS,), NEW_VERSION)


def _max_reject_ratio(was: InputSettings, now: InputSettings) -> Iterator[Change]:
    """Yield the change to the limit of rejects. Without a setting, the deployment's setting applies."""
    before, after = was.max_reject_ratio, now.max_reject_ratio
    place = "contract.json: input.max_reject_ratio"
    if before is not None and after is not None and after < before:
        says = f"{_was_and_is(before, after)}: a file with fewer rejects fails now"
        yield Change(place, says, (PRODUCERS,), NEW_VERSION)
    elif before != after:
        yield Change(place, _was_and_is(before, after))


def _was_and_is(before: Any, after: Any) -> str:
    was, now = ("left to the deployment" if one in ("", None) else one for one in (before, after))
    return f"was {was}, and is {now}"
