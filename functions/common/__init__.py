"""What at least two steps need. Nothing here imports a step."""
