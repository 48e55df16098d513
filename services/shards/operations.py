"""What operators ask of the shards of this process: checkpoints now, a partition from its log anew."""

from collections.abc import Callable, Mapping
from pathlib import Path

from services.shards.generation import GenerationShards
from shared.errors import PoisonError


class ShardOperations:
    """The commands of `control.commands` that concern shards; `running` gives them by generation."""

    def __init__(self, running: Callable[[], Mapping[str, GenerationShards]]) -> None:
        self._running = running

    async def snapshot(self, _: Mapping[str, str]) -> None:
        """Checkpoint every shard that has something new."""
        for shards in self._running().values():
            await shards.maintenance.save()

    async def rebuild(self, arguments: Mapping[str, str]) -> None:
        """Drop what is stored of one partition, if it is served here, and read its log anew.

        Raises `PoisonError` when the command does not say which.
        """
        generation, partition = arguments.get("generation", ""), arguments.get("partition", "")
        if not generation or not partition.isdecimal():
            raise PoisonError("rebuild.malformed", f"{dict(arguments)} names no generation and partition")
        if shards := self._running().get(generation):
            await shards.rebuild(int(partition))

    def root_of(self, generation: str, partition: int) -> Path | None:
        """Return the directory of a shard that is open here; None: it is not."""
        shards = self._running().get(generation)
        if shards is None or partition not in shards.handler.serving:
            return None
        return shards.handler.root(partition)
