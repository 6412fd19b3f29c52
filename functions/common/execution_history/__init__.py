"""The history of an execution: `reader.py` reads its events, `outcomes.py` says how each state ended."""
