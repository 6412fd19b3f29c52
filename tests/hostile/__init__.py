"""Files that a producer, an attacker or an accident may send, and the outcome of each."""
