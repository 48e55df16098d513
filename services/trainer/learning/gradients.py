"""Batches on every core, large ones in little memory: gradients of the vectors, then of the weights.

GradCache (Gao et al., arXiv 2101.06983), as in sentence-transformers' CachedMultipleNegativesRankingLoss. It
is exact because nothing in a pass is random: dropout is off (see `student`).

The passes are independent, so several run at once, each on one thread; sharing a pass between cores would
mean a barrier after every layer (seen: on two cores with other work on them, slower than one thread).
Their gradients are added in the order of the passes: the sum is the same, bit for bit, on any number of
cores.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from shared.encoder.packing import pack

Item = TypeVar("Item")
Result = TypeVar("Result")
Gradients = Sequence[Tensor | None]


class Cores:
    """Does things at once, one a core, and gives the results in order."""

    def __init__(self, count: int = 0) -> None:
        self._count = count or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._count, initializer=torch.set_num_threads, initargs=(1,))

    def each(self, do: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `do(item)` of each; no more results wait than there are cores."""
        for start in range(0, len(items), self._count):
            yield from self._pool.map(do, items[start : start + self._count])


def add(weights: Sequence[Tensor], found: Gradients) -> None:
    """Add gradients to those that the weights have."""
    for weight, gradient in zip(weights, found, strict=True):
        if gradient is not None:
            weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)


@dataclass(frozen=True, slots=True)
class Passes:
    """How a batch is computed: `embed` makes one vector of each text, by number; each is in one group.

    `cached` runs every pass twice and keeps nothing but vectors in between.
    """

    groups: Sequence[Sequence[int]]
    embed: Callable[[Sequence[int]], Tensor]
    cached: bool

    def forward(self, number: int) -> Tensor:
        """Return the vectors of a group."""
        with torch.set_grad_enabled(not self.cached):
            return self.embed(self.groups[number])


def backward(
    cores: Cores, weights: Sequence[Tensor], passes: Passes, *, loss: Callable[[Tensor], Tensor]
) -> float:
    """Compute `loss(vectors of all texts)`, add its gradients to the weights, and return it."""
    numbers = range(len(passes.groups))
    parts = list(cores.each(passes.forward, numbers))
    order = torch.tensor([text for group in passes.groups for text in group])
    vectors = torch.empty_like(found := torch.cat([part.detach() for part in parts]))
    vectors[order] = found
    value = loss(vectors.requires_grad_())
    (wanted,) = torch.autograd.grad(value, vectors)

    def gradients(number: int) -> Gradients:
        group = passes.groups[number]
        part = passes.embed(group) if passes.cached else parts[number]
        return torch.autograd.grad(part, weights, wanted[torch.tensor(group)], allow_unused=True)

    for each in cores.each(gradients, numbers):
        add(weights, each)
    return float(value.detach())


def groups_of(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Return the numbers of texts of these lengths in groups of at most `rows`, longest first."""
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    return [[order[place] for place in group] for group in pack([1] * len(lengths), rows)]
