"""What a producer, a stranger or an accident may send, and what must come of it."""
