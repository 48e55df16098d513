"""A second generation beside the live one: another model of the same size, and who serves how much."""

import asyncio
import json
import shutil
from pathlib import Path

from schemas.control import Model
from shared.clock import SystemClock
from shared.cluster.registry import OwnerRegistry
from shared.encoder.description import describe
from shared.encoder.directory import model_directory
from shared.encoder.pipeline import DESCRIPTION
from shared.settings import Settings
from shared.state.redis import connect


def other_model(settings: Settings, place: Path, name: str) -> Path:
    """Write the configured model with a prompt of its own: another model, which costs as much."""
    shutil.copytree(model_directory(settings.model.path), place)
    description = json.loads((place / DESCRIPTION).read_bytes())
    description["prompts"] = {"document": f"{name}: "}
    (place / DESCRIPTION).write_text(json.dumps(description))
    return place


def record_of(settings: Settings, place: Path, model_id: str) -> Model:
    """Return what `models.v1` says of a directory, in the precision that is configured."""
    return Model(
        model_id=model_id,
        location=str(place),
        precision="int8" if settings.model.precision == "int8" else "fp32",
        verdict="imported",
        created_at=SystemClock().now(),
        **describe(place, settings.model)._asdict(),
    )


def documents(settings: Settings, *generations: str) -> int:
    """Return how many products the shards of these generations have."""

    async def count() -> int:
        redis = connect(settings)
        try:
            registries = [OwnerRegistry(redis, settings.namespace, name) for name in generations]
            owners = [owner for registry in registries for owner in await registry.owners()]
        finally:
            await redis.aclose()
        return sum(owner.documents for owner in owners)

    return asyncio.run(count())
