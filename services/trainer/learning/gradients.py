"""Batches on every core, large ones in little memory: gradients of the vectors, then of the weights.

GradCache (Gao et al., arXiv 2101.06983), as in sentence-transformers' CachedMultipleNegativesRankingLoss. It
is exact because nothing in a pass is random: dropout is off (see `trainable`).

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


def add(parameters: Sequence[Tensor], gradients: Gradients) -> None:
    """Add gradients to those that the parameters have."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


@dataclass(frozen=True, slots=True)
class GradientPasses:
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
    cores: Cores, parameters: Sequence[Tensor], passes: GradientPasses, *, loss: Callable[[Tensor], Tensor]
) -> float:
    """Compute `loss(vectors of all texts)`, add its gradients to the parameters, and return it."""
    numbers = range(len(passes.groups))
    parts = list(cores.each(passes.forward, numbers))
    order = torch.tensor([text for group in passes.groups for text in group])
    embedded = torch.cat([part.detach() for part in parts])
    vectors = torch.empty_like(embedded)
    vectors[order] = embedded
    value = loss(vectors.requires_grad_())
    (wanted,) = torch.autograd.grad(value, vectors)

    def gradients(number: int) -> Gradients:
        group = passes.groups[number]
        part = passes.embed(group) if passes.cached else parts[number]
        return torch.autograd.grad(part, parameters, wanted[torch.tensor(group)], allow_unused=True)

    for of_group in cores.each(gradients, numbers):
        add(parameters, of_group)
    return float(value.detach())


def groups_of(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Return the numbers of texts of these lengths in groups of at most `rows`, longest first."""
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    return [[order[place] for place in group] for group in pack([1] * len(lengths), rows)]
