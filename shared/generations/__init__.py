"""Generations of the index: their state, the log it is the sum of, and what serves them."""
