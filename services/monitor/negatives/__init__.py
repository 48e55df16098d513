"""Negatives: how many of those that shoppers looked at turned out to be wrong."""
