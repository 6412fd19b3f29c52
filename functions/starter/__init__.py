"""Starts one execution for each object version that enters the ingest bucket."""
