"""One difference between two contracts, and what it breaks."""

from dataclasses import dataclass

PRODUCERS, READERS, STORED = "producers", "readers of the tables", "stored Parquet"

NO_VERSION_ALLOWS_IT = "Restore this version, and make the change in a new version."
NEW_VERSION = "Raise current_version, and say in the new version's description why."


@dataclass(frozen=True)
class Change:
    """One difference, and what it breaks. A safe change breaks nothing."""

    place: str
    says: str
    breaks: tuple[str, ...] = ()
    needs: str = ""
    """What to do about a breaking change."""

    @property
    def is_of_a_version(self) -> bool:
        """Whether no new version can allow it."""
        return self.needs == NO_VERSION_ALLOWS_IT
