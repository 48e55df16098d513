"""The models that a generation may be built with: found on `models.v1`, and looked through before use."""

import asyncio

from schemas.control import Model
from services.rollout.settings import Settings
from shared.encoder.description import check_model
from shared.encoder.parity import check_stages
from shared.errors import ConfigurationError
from shared.generations.settings import generation_settings
from shared.generations.state import Generation
from shared.kafka.compacted import read_item, read_items, read_once


class CandidateModels:
    """Reads `models.v1` anew each time: a model may have been written just before the request for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def find(self, model_id: str) -> Model | None:
        """Return the model as the topic has it now; raises `TransientError` when it cannot be read."""
        topic = await read_once(self._settings, Model.topic)
        return read_item(Model, topic.items.get(model_id.encode()))

    async def all(self) -> list[Model]:
        """Return every model that the topic has now; raises `TransientError` when it cannot be read."""
        return read_items(Model, (await read_once(self._settings, Model.topic)).items.values())

    async def objection(self, model: Model, generation: str) -> str | None:
        """Return why the model must not be loaded: its stages differ, or its directory is another."""
        built = Generation(name=generation, stage="building", model=model)
        try:
            check_stages(model)
            await asyncio.to_thread(check_model, generation_settings(self._settings, built).model, model)
        except ConfigurationError as error:
            return str(error)
        return None
