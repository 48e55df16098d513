"""Which job is next, and when one is due."""
