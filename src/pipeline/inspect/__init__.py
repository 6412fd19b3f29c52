"""Shows what ran and what happened to a file: status, logs, watch, explain, rejects and report."""
