"""Recovery commands: replays, backfills, reconciliation, undelivered events and erasure."""
