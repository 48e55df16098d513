"""Which generation of the index answers a search, and the model that embeds its queries."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from schemas.alerts import Alert
from services.search.embedding import QueryVectors
from shared.generation_parts import GenerationParts
from shared.rollout_log import RolloutLog

FITTED_ON = ("query-embeddings", "document-embeddings")
"""The drift of which makes void what was fitted with a model."""


class Fitted(NamedTuple):
    """What was fitted with a generation's model on this shop's queries; None: nothing was, or it is void."""

    dense_weight: float | None = None
    """Of vectors in hybrid search."""
    threshold: float | None = None
    """The similarity below which a product is not right."""


class Generations:
    """Every generation that `rollout.v1` names, each with a query encoder of its own model.

    `alerts` are the last ones of `alerts.v1`, by key.
    """

    def __init__(
        self,
        rollouts: RolloutLog,
        encoders: GenerationParts[QueryVectors],
        alerts: Mapping[bytes, bytes],
    ) -> None:
        self._rollouts = rollouts
        self._encoders = encoders
        self._alerts = alerts

    def choose(self, requested: str | None) -> str:
        """Return the requested generation, else the live one.

        While the live one's model is still being loaded here, it is the one before, if that can answer.
        """
        found = self._rollouts.generations
        live = requested or found.live or ""
        if requested is None and found.previous and self.missing(live) and not self.missing(found.previous):
            return found.previous
        return live

    def vectors(self, generation: str) -> QueryVectors | None:
        """Return the generation's encoder; None: it does not run here."""
        return self._encoders.running.get(generation)

    def missing(self, generation: str | None = None) -> str | None:
        """Return why queries to the generation (absent: the live one) cannot be embedded; None: they can."""
        name = generation or self._rollouts.generations.live or ""
        encoder = self.vectors(name)
        return encoder.missing() if encoder else f"no model of generation {name} is loaded"

    def fitted(self, generation: str) -> Fitted:
        """Return what was fitted with the generation's model.

        It is void while shoppers no longer ask, or the catalogue no longer has, what it was fitted on.
        """
        model = self._rollouts.generations.model(generation)
        if model is None or self._has_drifted(generation):
            return Fitted()
        return Fitted(model.dense_weight, model.threshold)

    def _has_drifted(self, generation: str) -> bool:
        keys = (f"drift:{generation}:{signal}".encode() for signal in FITTED_ON)
        return any(_is_open(self._alerts[key]) for key in keys if key in self._alerts)


def _is_open(alert: bytes) -> bool:
    try:
        return Alert.decode(alert).status != "resolved"
    except ValidationError:
        return False  # whoever wrote it, it is no alert
