"""Which generation of the index answers a search."""

import asyncio
from datetime import timedelta

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from schemas.base import GenerationName
from shared.adapters.redis import transient
from shared.errors import TransientError
from shared.settings import Settings

log = structlog.get_logger()

KEPT = timedelta(seconds=1)
_NAME = TypeAdapter(GenerationName)


class Generations:
    """The live generation: what the key `<namespace>:generation:live` says, else the configured one."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._redis = redis
        self._key = f"{settings.namespace}:generation:live"
        self._configured = settings.generation
        self._live = settings.generation
        self._read_at = -KEPT.total_seconds()

    async def choose(self, requested: str | None) -> str:
        """Return the requested generation, else the live one (kept for a second, or while Redis is away)."""
        if requested is not None:
            return requested
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= KEPT.total_seconds():
            self._read_at = now
            await self._refresh()
        return self._live

    async def _refresh(self) -> None:
        try:
            with transient():
                value = await self._redis.get(self._key)
            found = value.decode() if isinstance(value, bytes) else value
            self._live = _NAME.validate_python(found) if found else self._configured
        except TransientError as error:
            log.warning("generation.unknown", using=self._live, error=str(error))
        except (ValidationError, UnicodeDecodeError):
            log.error("generation.invalid", key=self._key, using=self._live)
