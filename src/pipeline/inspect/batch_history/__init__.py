"""Collects the history of a batch: `collect_history(place, what)` returns the types in `model.py`."""

from pipeline.inspect.batch_history.assemble import collect_history, rejects_of
from pipeline.inspect.batch_history.model import BatchHistory, BatchRejects, Outcome

__all__ = ["BatchHistory", "BatchRejects", "Outcome", "collect_history", "rejects_of"]
