"""Scores of canaries, their baselines, and verdicts on them."""
