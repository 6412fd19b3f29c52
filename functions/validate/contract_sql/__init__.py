"""The contract's SQL as `validate` runs it: over one chunk, before anything is counted."""
