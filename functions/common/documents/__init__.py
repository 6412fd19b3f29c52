"""The documents that the pipeline stores or passes between functions. Each has one type that reads and writes it."""
