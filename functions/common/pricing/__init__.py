"""What AWS charges, and what a run costs: shared by `record_run` and `pipeline estimate`."""
