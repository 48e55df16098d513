"""Ranked lists: how scores are fused, and how good a ranking is."""
