"""The records of a source object, as they stand in it: a chunk is opened, and cut into records, and none is parsed."""
