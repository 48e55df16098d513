"""Whether a runtime gives the vectors of another one: the cosine over batches of every length."""

from collections.abc import Sequence

import numpy as np

from shared.arrays import Vectors
from shared.encoder.runtimes.port import Features, Runtime
from shared.encoder.tokens import IDS, SAMPLES, Tokenizer

LENGTHS = (1, 2, 5, 13, 34, 89, 233)
"""Tokens between those that frame a text; the longest input comes in addition."""
SEED = 20


def sample_batches(tokenizer: Tokenizer) -> list[Features]:
    """Return batches to compare runtimes by: texts of many kinds; any tokens, short beside long.

    In each of the latter stands the token of the padding, which some models give no place in a text.
    """
    texts = tokenizer.tokens(SAMPLES)
    longest = max(texts[IDS], key=len)
    rng = np.random.default_rng(SEED)
    made = [
        [longest[0], *rng.choice(tokenizer.size, length - 1).tolist(), tokenizer.padding, longest[-1]]
        for length in (*LENGTHS, len(longest) - 2)
        if 0 < length <= len(longest) - 2
    ]
    tokens = {name: [_as_long(rows[0], len(row)) for row in made] for name, rows in texts.items()}
    tokens[IDS] = made
    single = [[index] for index in (0, len(made) - 1)] if made else []
    return [
        tokenizer.features(texts, range(len(SAMPLES))),
        *(tokenizer.features(tokens, batch) for batch in [range(len(made)), *single] if made),
    ]


def agreement(runtime: Runtime, reference: Runtime, batches: Sequence[Features]) -> float:
    """Return the least cosine between what the two make of any text of the batches."""
    return min(float(_cosines(runtime.forward(batch), reference.forward(batch)).min()) for batch in batches)


def _cosines(rows: Vectors, others: Vectors) -> Vectors:
    """Return the cosine of each pair; 1 of two that have no direction, and -1 where there is no number."""
    norms = np.linalg.norm(rows, axis=1), np.linalg.norm(others, axis=1)
    product = norms[0] * norms[1]
    cosines = (rows * others).sum(axis=1) / np.where(product > 0, product, 1)
    alike: Vectors = np.where((norms[0] == 0) & (norms[1] == 0), 1.0, cosines)
    return np.nan_to_num(alike, nan=-1.0)


def _as_long(row: Sequence[int], length: int) -> list[int]:
    """Return the row's first number as often: all other tables have one number a text."""
    return [*row[:1]] * length
