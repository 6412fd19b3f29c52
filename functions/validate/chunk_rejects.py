"""The rejects of one chunk: how they are written, and how many bytes they may take."""

from collections import Counter
from dataclasses import asdict, dataclass, field

from functions.common.errors import RejectVolumeError
from functions.common.reject_codes import Reason
from functions.common.reject_lines import reject_line


@dataclass(slots=True)
class ChunkRejects:
    """Makes the lines of one chunk's rejects, and keeps their account.

    A reject says why in a thousand bytes and more, so a chunk of two-byte records would make many times its own size.
    """

    batch_id: str
    current_version: int
    """Stands in the line of a record that names no version that there is."""
    position_kind: str
    max_bytes: int
    sample_uri: str
    """Where the rejects lie that were written before the cap was passed."""
    by_reason: Counter[str] = field(default_factory=Counter)
    """How many records are rejected, by the code of their first reason."""
    by_version: Counter[int | None] = field(default_factory=Counter)
    """How many records are rejected, by the version that they are of."""
    n_bytes: int = 0

    def line(
        self,
        position: int,
        version: int | None,
        reasons: list[Reason],
        record: bytes,
        *,
        readable: bool = True,
        truncated_from: int | None = None,
    ) -> bytes:
        """The line of one more reject. Raises RejectVolumeError where all of them take more than the cap."""
        line = reject_line(
            batch_id=self.batch_id,
            contract_version=self.current_version if version is None else version,
            position=position,
            position_kind=self.position_kind,
            reason=reasons[0].code,
            errors=[asdict(reason) for reason in reasons],
            record=record,
            readable=readable,
            truncated_from=truncated_from,
        )
        self.by_reason[reasons[0].code] += 1
        self.by_version[version] += 1
        self.n_bytes += len(line)
        if self.n_bytes > self.max_bytes:
            reasons_so_far = ", ".join(f"{reason} {number}" for reason, number in sorted(self.by_reason.items()))
            raise RejectVolumeError(
                f"The rejects of one chunk take more than {self.max_bytes} bytes, the cap max_reject_bytes. By then "
                f"{self.by_reason.total()} records were rejected ({reasons_so_far}): a sample is {self.sample_uri}."
            )
        return line
