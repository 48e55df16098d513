"""The terms that a fit makes small; scores in, one number out.

`contrastive` is generalised contrastive learning (Zhu et al., arXiv 2404.08535): the contrastive terms of
InfoNCE, each with the weight of its judgement. It differs from sentence-transformers'
MultipleNegativesRankingLoss in that a query may have many right products in a batch, none of which is a
negative of another of about the same weight, and that a judged product knows all queries it is right for.
"""

import torch
from torch import Tensor
from torch.nn import functional

FAR = -1e4
"""The logarithm of nothing, in any precision."""


def contrastive(scores: Tensor, weights: Tensor, blocked: Tensor, *, contrast: float) -> Tensor:
    """Return the mean over right pairs of `-log(e^s / (e^s + sum of e^s of its negatives))`, weighted.

    All are (queries, products); `scores` are scaled. A right pair's negatives are the row's products with
    less than `contrast` times its weight (at least those without any), without the `blocked` ones.
    """
    rows, columns = torch.nonzero(weights > 0, as_tuple=True)
    if not len(rows):
        return scores.sum() * 0.0
    own = weights[rows, columns]
    beside = weights[rows]
    negative = ((beside < contrast * own[:, None]) | (beside <= 0)) & ~blocked[rows]
    others = scores[rows].masked_fill(~negative, FAR).logsumexp(1)
    terms = functional.softplus(others - scores[rows, columns])
    return (own * terms).sum() / own.sum()


def both_ways(scores: Tensor, weights: Tensor, blocked: Tensor, *, contrast: float) -> Tensor:
    """Return the mean of query -> product and product -> query."""
    there = contrastive(scores, weights, blocked, contrast=contrast)
    return (there + contrastive(scores.T, weights.T, blocked.T, contrast=contrast)) / 2


def guarded(blocked: Tensor, known: Tensor, *, weights: Tensor, products: Tensor, guard: float) -> Tensor:
    """Return `blocked`, and each pair that nobody judged whose product is too like a right one.

    `products` are the unit vectors of the products as the model has them now. A near-duplicate of a right
    product is right, whatever the labels lack (as in GISTEmbed, arXiv 2402.16829, with the model as its own
    guide).
    """
    alike = (products @ products.T >= guard).to(products.dtype)
    near_right = (weights > 0).to(products.dtype) @ alike > 0
    return blocked | (near_right & ~known)


def prefix(vectors: Tensor, dimensions: int) -> Tensor:
    """Return the first dimensions at unit length (Matryoshka, arXiv 2205.13147)."""
    unit: Tensor = functional.normalize(vectors[:, :dimensions], dim=1)
    return unit


def signs(vectors: Tensor) -> Tensor:
    """Return the signs at unit length; backwards they pass the gradient on as if they were the vector.

    The straight-through estimator (Bengio et al., arXiv 1308.3432).
    """
    code = torch.where(vectors >= 0, 1.0, -1.0) / vectors.shape[1] ** 0.5
    straight: Tensor = vectors + (code - vectors).detach()
    return straight


def kept(vectors: Tensor, before: Tensor) -> Tensor:
    """Return how far the similarities of these texts are from what they were (mean square)."""
    moved: Tensor = functional.mse_loss(vectors @ vectors.T, before @ before.T)
    return moved
