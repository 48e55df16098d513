"""Answers counted by event time; a window against the time before it."""
