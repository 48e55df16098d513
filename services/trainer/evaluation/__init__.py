"""Judges models: how well they rank, at what size and precision, against the live one, and at what cost."""
