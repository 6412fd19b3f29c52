"""Decides whether records are of several kinds, and which field names the kind. The draft only proposes it."""

from collections import Counter, defaultdict

from pipeline.draft.profile import Node

_MOST_KINDS = 30
_PRESENT = 0.9
_FEW_FIELDS = 2


def discriminator(root: Node) -> tuple[str, int, list[str]] | None:
    """Return the member that names the kind of a record, the number of kinds, and fields that only some kinds have.

    None if all records are of one kind. A field belongs to a kind if nearly all records of the kind have it.
    """
    for name, variants in root.variants.items():
        fields: dict[object, Counter[str]] = defaultdict(Counter)
        totals = Counter[object]()
        for (tag, members), number in variants.items():
            totals[tag] += number
            fields[tag].update(dict.fromkeys(members, number))
        if None in totals or not 1 < len(totals) <= _MOST_KINDS or totals.total() < 2 * len(totals):
            continue
        partial = [one for one in root.members if not all(one in fields[tag] for tag in totals)]
        certain = [
            one
            for one in partial
            if all(fields[tag][one] >= _PRESENT * totals[tag] for tag in totals if one in fields[tag])
        ]
        if len(certain) >= _FEW_FIELDS:
            return name, len(totals), certain
    return None
