"""Classifies strings by what they hold: dates, times with a zone, decimals, identifiers, addresses, or other text."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date

EMPTY, DATE, DATE_TIME, LOCAL_TIME = "empty", "date", "date-time", "local time"
DECIMAL, INTEGER, UUID, EMAIL, URL, TEXT = "decimal", "integer", "uuid", "email", "url", "text"

_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6}0*)?"
_PATTERNS = {
    DATE: re.compile(_DAY),
    DATE_TIME: re.compile(rf"{_DAY}T{_CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"),
    LOCAL_TIME: re.compile(rf"{_DAY}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"),
    UUID: re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    DECIMAL: re.compile(r"-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,18}"),
    INTEGER: re.compile(r"[+-]?[0-9]+"),
    EMAIL: re.compile(r"[^@\s]{1,64}@[^@\s]+\.[A-Za-z]{2,}"),
    URL: re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S+"),
    EMPTY: re.compile(""),
}
"""The classes of strings, most specific first. Times have at most six decimals, because columns keep microseconds."""

_LAST_SAFE_DAY = 28
_ENOUGH_TEXT = 2000
"""After this many strings that are mostly of no class, the others aren't classified any more."""

_MOST_VALUES = 60
_LONG = 64


def class_of(value: str) -> str:
    """Return the class of a string."""
    for name, pattern in _PATTERNS.items():
        if pattern.fullmatch(value) and (name not in (DATE, DATE_TIME) or _is_day(value[:10])):
            return name
    return TEXT


def _is_day(text: str) -> bool:
    if int(text[8:]) <= _LAST_SAFE_DAY:
        return True
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class StringCounts:
    """What the strings of one field have in common. Its size doesn't grow with their number."""

    def __init__(self) -> None:
        self.total = 0
        self.by_class: Counter[str] = Counter()
        """The number of classified strings by class."""
        self.values: Counter[str] | None = Counter()
        """The number of each string. None if there are too many different strings, or long ones."""
        self.longest = 0
        self.scales: set[int] = set()
        """The numbers of decimals in strings of the class DECIMAL."""
        self.whole_digits = 0
        """The most digits before the point in strings of the class DECIMAL."""
        self.has_nul = False
        self._last = TEXT

    def add(self, values: Collection[str]) -> None:
        """Count strings."""
        self.total += len(values)
        longest = max(map(len, values))
        self.longest = max(self.longest, longest)
        if self.values is not None:
            self.values.update(values)
            if len(self.values) > _MOST_VALUES or longest > _LONG:
                self.values = None
        if self.is_settled:
            return
        pattern = _PATTERNS.get(self._last)
        is_time = self._last in (DATE, DATE_TIME)
        if (
            pattern
            and self._last != DECIMAL
            and all(map(pattern.fullmatch, values))
            and (not is_time or all(map(_is_day, {value[:10] for value in values})))
        ):
            self.by_class[self._last] += len(values)
        else:
            self._classify(values)

    def _classify(self, values: Iterable[str]) -> None:
        for value, number in Counter(values).items():
            name = class_of(value)
            self.by_class[name] += number
            if name == DECIMAL:
                whole, _, decimals = value.lstrip("-").partition(".")
                self.scales.add(len(decimals))
                self.whole_digits = max(self.whole_digits, len(whole))
        self._last = self.by_class.most_common(1)[0][0]

    @property
    def is_settled(self) -> bool:
        """Whether most strings are of no class, so that no further ones are classified."""
        return self.by_class[TEXT] > _ENOUGH_TEXT and self.by_class[TEXT] * 2 > self.by_class.total()

    def share_of(self, name: str) -> float:
        """Return the share of classified strings that are of a class."""
        return self.by_class[name] / (self.by_class.total() or 1)
