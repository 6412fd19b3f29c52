"""Reads the history of an execution: `reader.py` reads its events, `outcomes.py` decides how each state ended."""
