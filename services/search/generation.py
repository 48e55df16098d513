"""Which generation of the index answers a search, and the model that embeds its queries."""

from collections.abc import Mapping

from services.search.embedding import QueryVectors
from services.search.refusals import unknown_generation
from shared.generations.fitted import FittedParameters, fitted_parameters
from shared.generations.rollout_log import RolloutLog
from shared.generations.supervisor import GenerationSupervisor
from shared.generations.trial import Trial


class ServedGenerations:
    """Every generation that `rollout.v1` names, each with a query encoder of its own model.

    `alerts` are the last ones of `alerts.v1`, by key.
    """

    def __init__(
        self,
        rollouts: RolloutLog,
        encoders: GenerationSupervisor[QueryVectors],
        alerts: Mapping[bytes, bytes],
    ) -> None:
        self._rollouts = rollouts
        self._encoders = encoders
        self._alerts = alerts

    @property
    def trial(self) -> Trial | None:
        """The trial that runs."""
        return self._rollouts.generations.trial

    def choose(self, requested: str | None) -> str:
        """Return the requested generation, else the live one.

        While the live one's model is still being loaded here, it is the one before, if that can answer.
        Raises `Refusal` for a name that is of none, or of one that is retired.
        """
        generations = self._rollouts.generations
        if requested is not None and generations.live is not None and requested not in generations.served:
            raise unknown_generation(requested, sorted(generations.served))
        live, previous = requested or generations.live or "", generations.previous
        if requested is None and previous and self.missing(live) and not self.missing(previous):
            return previous
        return live

    def vectors(self, generation: str) -> QueryVectors | None:
        """Return the generation's encoder; None: it does not run here."""
        return self._encoders.running.get(generation)

    def missing(self, generation: str | None = None) -> str | None:
        """Return why queries to the generation (absent: the live one) cannot be embedded; None: they can."""
        name = generation or self._rollouts.generations.live or ""
        encoder = self.vectors(name)
        return encoder.missing() if encoder else f"no model of generation {name} is loaded"

    def fitted(self, generation: str) -> FittedParameters:
        """Return what was fitted with the generation's model, while it holds."""
        return fitted_parameters(self._rollouts.generations.model(generation), generation, self._alerts)
