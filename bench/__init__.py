"""`make bench`: measures the speed and memory of the pipeline, compared with other Python tools."""
