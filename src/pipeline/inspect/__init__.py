"""What ran and what happened to a file: status, logs, explain, rejects, report."""
