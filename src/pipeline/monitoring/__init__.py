"""What runs now and what has run: executions and logs."""
