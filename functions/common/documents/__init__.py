"""The documents that the pipeline stores or passes between functions: a type each, with one reader and one writer."""
