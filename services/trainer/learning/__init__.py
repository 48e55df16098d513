"""Fits a model to a data set. Needs torch and sentence-transformers; no broker, no Redis.

`train` takes a data set, a base model and a recipe, and leaves one model directory behind, whole. It can be
killed at any moment and called again with the same arguments: it goes on from its last checkpoint, and what
comes out is, bit for bit, what an uninterrupted run on the same machine gives.
"""
