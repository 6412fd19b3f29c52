"""The history of one batch: `collect_history(place, what)` returns it as the types in `model.py`."""

from pipeline.inspect.batch_history.assemble import collect_history, rejects_of
from pipeline.inspect.batch_history.model import BatchHistory, BatchRejects, Outcome

__all__ = ["BatchHistory", "BatchRejects", "Outcome", "collect_history", "rejects_of"]
