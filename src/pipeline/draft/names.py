"""Names of columns and tables: snake_case, unique, and none that Athena reserves."""

import re
import unicodedata
from collections.abc import Collection, Iterable

from pipeline.contract.athena import RESERVED_IN_SELECT

# https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html
_RESERVED_IN_DDL_TEXT = """
ALL ALTER AND ARRAY AS AUTHORIZATION BETWEEN BIGINT BINARY BOOLEAN BOTH BY CASE CASHE CAST CHAR COLUMN CONF
CONSTRAINT COMMIT CREATE CROSS CUBE CURRENT CURRENT_DATE CURRENT_TIMESTAMP CURSOR DATABASE DATE DAYOFWEEK
DECIMAL DELETE DESCRIBE DISTINCT DIV DOUBLE DROP ELSE END EXCHANGE EXISTS EXTENDED EXTERNAL EXTRACT FALSE FETCH
FLOAT FLOOR FOLLOWING FOR FOREIGN FROM FULL FUNCTION GRANT GROUP GROUPING HAVING IF IMPORT IN INNER INSERT INT
INTEGER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LESS LIKE LOCAL MACRO MAP MORE NONE NOT NULL NUMERIC OF ON
ONLY OR ORDER OUT OUTER OVER PARTIALSCAN PARTITION PERCENT PRECEDING PRECISION PRESERVE PRIMARY PROCEDURE RANGE
READS REDUCE REGEXP REFERENCES REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROW ROWS SELECT SET SMALLINT START TABLE
TABLESAMPLE THEN TIME TIMESTAMP TO TRANSFORM TRIGGER TRUE TRUNCATE UNBOUNDED UNION UNIQUEJOIN UPDATE USER USING
UTC_TIMESTAMP VALUES VARCHAR VIEWS WHEN WHERE WINDOW WITH
"""
_RESERVED_IN_DDL = frozenset(_RESERVED_IN_DDL_TEXT.split())
RESERVED = frozenset(word.lower() for word in _RESERVED_IN_DDL | RESERVED_IN_SELECT)
"""The words that need quotation marks in Athena's DDL or in its queries."""

_OF_THE_PIPELINE = ("records", "superseded", "runs", "rejects", "rejected_lines", "failures")
_MOST = 60
_ACRONYMS = re.compile(r"([A-Z]{2,})s(?![a-z])")
_ACRONYM = re.compile(r"([A-Z]+)([A-Z][a-z])")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")
_OTHER = re.compile(r"[^a-z0-9]+")
_ID_LIKE = re.compile(
    r"(?:.*_)?(?:id|oid|uuid|guid|uid|key|sku|ean|gtin|isbn|no|nr|num|number|code|ref|reference|sha|hash|arn|slug|symbol)"
)


def snake(name: str) -> str:
    """Return a name in snake_case, of a-z, 0-9 and _. Empty if nothing of the name is left."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    plain = _ACRONYMS.sub(lambda found: f"{found[1].capitalize()}s", plain)  # podIPs is pod_ips
    words = _HUMP.sub(r"\1_\2", _ACRONYM.sub(r"\1_\2", plain))
    return _OTHER.sub("_", words.lower()).strip("_")


def can_be_named(name: str) -> bool:
    """Return whether SQL can refer to a member, whose name must not be empty or contain control characters."""
    return bool(name) and min(name) >= " "


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case."""
    return snake(name).split("_")


def singular(word: str) -> str:
    """Return the singular of an English plural, by its ending."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "uses")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "news", "series")) and len(word) > 2:
        return word[:-1]
    return word


def is_id_like(name: str) -> bool:
    """Return whether a field is named like an identifier, such as id, order_id or line_number."""
    return bool(_ID_LIKE.fullmatch(snake(name)))


def is_tag_like(name: str) -> bool:
    """Return whether a field is named like one that says what kind of object it is in, such as type or event_kind."""
    return words_of(name)[-1] in ("type", "kind", "event", "action", "category", "object", "entity", "name", "topic")


class Names:
    """Gives unique names to the columns of one table, or to the tables of a contract."""

    def __init__(self, taken: Iterable[str] = (), fallback: str = "field") -> None:
        self._taken = set(taken)
        self._fallback = fallback

    def unique(self, path: Collection[str], prefix: str) -> str:
        """Return an unused name for a path of member names. A name that Athena rejects gets the prefix."""
        name = "_".join(filter(None, map(snake, path))) or self._fallback
        if not name[0].isalpha() or name in RESERVED:
            name = f"{prefix}_{name}"
        name = self._shortened(name)
        number = 2
        chosen = name
        while chosen in self._taken or chosen in RESERVED:
            chosen = f"{name}_{number}"
            number += 1
        self._taken.add(chosen)
        return chosen

    @staticmethod
    def _shortened(name: str) -> str:
        if len(name) <= _MOST:
            return name
        words = name.split("_")
        while len("_".join(words)) > _MOST and len(words) > 2:
            del words[len(words) // 2]
        return "_".join(words)[:_MOST].rstrip("_")


def table_name(names: Names, path: Collection[str], prefix: str) -> str:
    """Return an unused name of a table that the pipeline doesn't use itself."""
    last = snake([*path][-1]) if path else ""
    is_taken = last in _OF_THE_PIPELINE or last.startswith("part_") or last.endswith("_current") or last in names._taken
    return names.unique([prefix, *path] if is_taken and prefix else path, prefix)
