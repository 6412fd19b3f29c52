"""A contract's folder, checked against itself and against what it was before."""
