"""A cross-encoder that is asked whether a candidate is relevant after all.

It reads query and title together, which is slower and better than comparing their vectors: so it is asked
about the few candidates that may be taken.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp
from pathlib import Path

from services.negatives.domain.candidates import Retrieved
from services.negatives.domain.mine import hits_to_cross_score
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.rules import MiningRules
from services.negatives.miner import Index, LiveIndex
from shared.encoder import pairs
from shared.errors import ConfigurationError

Model = Callable[[str, Sequence[str]], Sequence[float]]
"""How relevant each title is to a query, from 0 to 1 (blocking)."""


class VetoedIndex:
    """An index whose answers carry what a cross-encoder says of those that may be taken."""

    def __init__(self, index: Index, model: Model, rules: MiningRules) -> None:
        self._index = index
        self._model = model
        self._rules = rules

    async def live(self) -> LiveIndex:
        """Return the live generation and its model; raises `TransientError`."""
        return await self._index.live()

    async def retrieve(self, query: str, plan: MiningPlan) -> Retrieved | None:
        """Return the index's answer with the cross-encoder's scores; raises `TransientError`."""
        retrieved = await self._index.retrieve(query, plan)
        if retrieved is None:
            return None
        hits = hits_to_cross_score(query, plan, retrieved, rules=self._rules)
        scores = await asyncio.to_thread(self._model, query, [hit.title for hit in hits]) if hits else ()
        by_id = {hit.product_id: score for hit, score in zip(hits, scores, strict=True)}
        return replace(retrieved, cross_scores=by_id)


def load(directory: Path) -> Model:
    """Return the cross-encoder in a directory; raises `ConfigurationError` when it is not to be loaded."""
    if not directory.is_dir():
        raise ConfigurationError(f"negatives.cross_encoder: {directory} is not a directory")
    model = pairs.load(directory)
    if not isinstance(model, pairs.CrossScorer):
        raise ConfigurationError(f"negatives.cross_encoder: {directory} is no cross-encoder")

    def score(query: str, titles: Sequence[str]) -> list[float]:
        return [1 / (1 + exp(-logit)) for logit in model.score(query, titles)]

    return score
