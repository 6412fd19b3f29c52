"""Opens a chunk of a source object, and cuts it into records without parsing them."""
