"""The documents that the pipeline stores or passes between functions. One type reads and writes each document."""
