"""Reckons what an execution has cost, once it has ended."""
