"""The history of one batch: `collect_history(place, what)` collects it as the types of `model.py`."""

from pipeline.inspect.batch_history.assemble import collect_history, rejects_of
from pipeline.inspect.batch_history.model import BatchHistory, BatchRejects, Outcome

__all__ = ["BatchHistory", "BatchRejects", "Outcome", "collect_history", "rejects_of"]
