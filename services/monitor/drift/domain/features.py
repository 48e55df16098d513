"""Random Fourier features: the distance of two feature means is the MMD of two sets of embeddings.

Rahimi and Recht (2007), Random features for large-scale kernel machines; Gretton et al. (2012), A kernel
two-sample test. With `cos` and `sin` of `D/2` random projections, scaled by `sqrt(2/D)`, every vector maps
to unit length and `<f(x), f(y)>` estimates the Gaussian kernel. A window costs one sum of D numbers.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FEATURES = 256
BANDWIDTH = 0.7
"""Of the Gaussian kernel, for unit vectors: about half of the distance between unrelated texts."""

Vectors = NDArray[np.float32]


def transform(vectors: Vectors, *, seed: int) -> Vectors:
    """Return an (n x FEATURES) row of unit length for each of the (n x d) vectors."""
    angles = vectors @ _projection(vectors.shape[1], seed)
    rows = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return (rows * np.float32(np.sqrt(2 / FEATURES))).astype(np.float32)


@lru_cache(maxsize=8)
def _projection(dimensions: int, seed: int) -> Vectors:
    rng = np.random.default_rng((seed, dimensions))
    rows = rng.standard_normal((dimensions, FEATURES // 2)) / BANDWIDTH
    projection: Vectors = rows.astype(np.float32)
    return projection
