"""Recovers from failures: replays, backfills, reconciliation, undelivered events and erasure."""
