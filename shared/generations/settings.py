"""The settings under which one generation is served."""

from typing import TypeVar

from shared.encoder.description import recorded
from shared.generations.state import Generation
from shared.settings import Settings

S = TypeVar("S", bound=Settings)


def generation_settings(common: S, generation: Generation) -> S:
    """Return the settings of the component of a worker that serves this generation."""
    update: dict[str, object] = {"generation": generation.name}
    if generation.model is not None:
        update["model"] = recorded(common.model, generation.model)
    return common.model_copy(update=update)
