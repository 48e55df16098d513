"""Answers: how many are empty or partial."""
