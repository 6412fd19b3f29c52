"""The story of one batch: `story_of(place, what)` finds out all that is known of it; `model.py` says what that is."""

from pipeline.story.gather import story_of
from pipeline.story.model import Outcome, Story

__all__ = ["Outcome", "Story", "story_of"]
