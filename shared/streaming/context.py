"""What the readers of one loop share, and how much they read at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from shared.ports import AlertSink, Clock, PartitionHandler
from shared.records import Partition
from shared.schema_registry.deserializer import SchemaDeserializer
from shared.streaming.dead_letters import DeadLetters

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """A batch ends at any of these; `poll` is how long an idle reader waits before it looks up."""

    messages: int = 500
    size: int = 4 * 1024 * 1024
    poll: timedelta = timedelta(milliseconds=500)


async def _unknown(topic: str) -> str:  # noqa: ARG001 - of every topic
    return ""


def _stay(partition: Partition) -> bool:  # noqa: ARG001 - every one
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[M]):
    """What every partition of one loop shares."""

    handler: PartitionHandler[M]
    dead_letters: DeadLetters
    alerts: AlertSink
    clock: Clock
    worker: str
    limits: BatchLimits
    deserializer: SchemaDeserializer
    routed: bool = False
    """What cannot be read is left to the router, but for what that forwarded."""
    identity: Callable[[str], Awaitable[str]] = _unknown
    """Asks what a topic's identity is now; raises `TransientError`."""
    leave: Callable[[Partition], bool] = _stay
    """Have the loop let go of a partition soon, to take it over anew; False: it cannot."""
