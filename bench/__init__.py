"""`make bench`: how fast and how lean the pipeline is, beside what a Python user would otherwise pick."""
