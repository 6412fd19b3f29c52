"""What a load will cost."""
