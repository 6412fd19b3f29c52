"""Uploads a file to the pipeline, follows its execution and prints the outcome."""
