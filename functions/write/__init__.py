"""Merges the parts of a batch, proves the balance, publishes and commits."""
