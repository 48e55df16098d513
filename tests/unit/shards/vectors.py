"""Vectors for tests of the dense funnel: clustered as products are, random, and their exact answers."""

import numpy as np


def normal(rows):
    """Return unit rows of float16."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray((rows / np.where(lengths == 0, 1, lengths)).astype(np.float16))


def scattered(rows, dimensions, seed=0):
    """Return rows that have nothing in common: the hardest there are."""
    return normal(np.random.default_rng(seed).standard_normal((rows, dimensions)))


def clustered(rows, dimensions, seed=0, clusters=100, width=0.7):
    """Return rows around some directions, and the cluster of each."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    cluster = rng.integers(0, clusters, rows)
    noise = rng.standard_normal((rows, dimensions))
    noise *= width / np.linalg.norm(noise, axis=1, keepdims=True)
    return normal(centres[cluster] + noise), cluster


def queries_near(vectors, count, seed=1, away=0.5):
    """Return float32 queries, each in the neighbourhood of a row."""
    rng = np.random.default_rng(seed)
    chosen = vectors[rng.choice(len(vectors), count)].astype(np.float32)
    noise = rng.standard_normal(chosen.shape).astype(np.float32)
    asked = chosen + away * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
