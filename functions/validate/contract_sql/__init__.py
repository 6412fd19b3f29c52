"""Runs the contract's SQL over one chunk, before any of the chunk's records are counted."""
