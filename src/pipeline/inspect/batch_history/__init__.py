"""The history of one batch: `story_of(place, what)` finds all that is known of it; `model.py` says what that is."""

from pipeline.inspect.batch_history.assemble import rejects_of, story_of
from pipeline.inspect.batch_history.model import BatchRejects, Outcome, Story

__all__ = ["BatchRejects", "Outcome", "Story", "rejects_of", "story_of"]
