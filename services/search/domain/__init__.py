"""Decisions of the search worker: pure, from values to values."""
