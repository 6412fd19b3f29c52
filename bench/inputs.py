"""Creates the input files with the project's generator, and caches them by its version."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.process import OWN_PYTHON, ROOT, run

_FOLDER = ROOT / "build" / "data" / "bench"
_GENERATOR = ROOT / "src" / "generate_data.py"


@dataclass(frozen=True)
class Input:
    """A JSON Lines file of valid orders."""

    orders: int
    path: Path

    @property
    def n_bytes(self) -> int:
        return self.path.stat().st_size


def make_input(orders: int) -> Input:
    """Return a file with the generator's first `orders` orders. A smaller file is a prefix of a larger file."""
    version = hashlib.sha256(_GENERATOR.read_bytes()).hexdigest()[:8]
    path = _FOLDER / version / f"{orders}.jsonl"
    if not path.is_file():
        run([OWN_PYTHON, _GENERATOR, "--orders", str(orders), "--out", path])
    return Input(orders, path)
