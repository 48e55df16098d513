"""What an operator asks of the shards of one generation: who has what, checkpoints, moves and rebuilds."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

import httpx

from schemas.control import Command
from schemas.shard_storage import StoredShardAnswer
from services.shards.settings import lease_name
from shared.clock import SystemClock
from shared.cluster.members import OwnerRecord
from shared.cluster.pins import PartitionPins
from shared.cluster.registry import OwnerRegistry
from shared.errors import ConfigurationError, TransientError
from shared.kafka.publisher import publish_once
from shared.ports import outgoing
from shared.settings import Settings
from shared.state.redis import connect, text, transient

POLL_SECONDS = 0.1
ANSWER_SECONDS = 120.0
"""A worker reads its files, or writes them, within that time."""
SNAPSHOT_SECONDS = 60.0
MOVING_SECONDS = 15.0
"""A partition that is on its way to another owner has one again within that time."""
OPENING_SECONDS = 600.0
"""A shard whose log has so much to read, and does not move for so long, is not coming."""
Show = Callable[[OwnerRecord], None]


@dataclass(frozen=True, slots=True)
class Handover:
    """A partition that went to another owner; seconds."""

    owner: OwnerRecord
    took: float
    unanswered: float
    """How long nobody announced it as ready, as far as announcements, one a second, can tell."""


class ShardOperator:
    """Asks and steers the owners of the generation that the settings name; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect."""
        self._redis = connect(self._settings)
        self._context.push_async_callback(self._redis.aclose)
        self._http = await self._context.enter_async_context(
            httpx.AsyncClient(timeout=ANSWER_SECONDS, headers=self._settings.cluster.headers, trust_env=False)
        )
        self._base = lease_name(self._settings.namespace, self._settings.generation)
        self._registry = OwnerRegistry(self._redis, self._settings.namespace, self._settings.generation)
        self._pins = PartitionPins(self._redis, self._base)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._context.aclose()

    async def owners(self) -> dict[int, OwnerRecord]:
        """Return who serves each partition; of two that announce one, the one with the newer epoch."""
        announced = sorted(await self._registry.owners(), key=lambda owner: owner.epoch)
        return {owner.partition: owner for owner in announced}

    async def served(self, partitions: Iterable[int]) -> dict[int, OwnerRecord]:
        """Return the owners of these partitions (none: all); raises `TransientError` where one has none."""
        owners = await self.owners()
        wanted = list(partitions) or range(next((one.partitions for one in owners.values()), 1))
        for partition in wanted:
            if partition not in owners:
                raise TransientError(
                    f"nobody serves partition {partition} of generation {self._settings.generation}"
                )
        return {partition: owners[partition] for partition in wanted}

    async def pins(self) -> Mapping[int, str]:
        """Return the partitions that were moved, and to whom."""
        return await self._pins.all()

    async def members(self) -> list[str]:
        """Return the workers that share the partitions."""
        with transient():
            names = await self._redis.zrange(f"{self._base}:members", 0, -1)
        return sorted(text(name) for name in names if isinstance(name, bytes | str))

    async def stored(self, partition: int, *, verify: bool = False) -> StoredShardAnswer:
        """Return what the owner of a partition has on its disk, whoever that is by then.

        Raises `TransientError` when no owner says so for a while.
        """
        deadline = time.monotonic() + MOVING_SECONDS
        while True:
            try:
                return await self._ask((await self.served([partition]))[partition], verify=verify)
            except TransientError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)  # it is moving

    async def _ask(self, owner: OwnerRecord, *, verify: bool) -> StoredShardAnswer:
        parameters = {
            "generation": self._settings.generation,
            "partition": str(owner.partition),
            "verify": str(verify).lower(),
        }
        try:
            answer = (await self._http.get(f"{owner.url}/stored", params=parameters)).raise_for_status()
        except httpx.HTTPError as error:
            raise TransientError(f"{owner.url} does not say what it has stored: {error}") from error
        return StoredShardAnswer.model_validate_json(answer.content)

    async def snapshot(self) -> list[StoredShardAnswer]:
        """Have every shard checkpointed as far as it is now, and return what is then stored."""
        before = await self.served(())
        await self._command("shards.snapshot")
        deadline, answers = time.monotonic() + SNAPSHOT_SECONDS, list[StoredShardAnswer]()
        for partition, owner in before.items():
            while not _holds(answer := await self.stored(partition), owner.next_offset):
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"partition {partition} has no checkpoint up to {owner.next_offset} after "
                        f"{SNAPSHOT_SECONDS:g} s: see the log of {owner.instance}"
                    )
                await asyncio.sleep(POLL_SECONDS)
            answers.append(answer)
        return answers

    async def move(self, partition: int, member: str | None, show: Show) -> Handover:
        """Hand a partition over to a member, or back to whom hashing gives it (None).

        Raises `ConfigurationError` when there is no such member.
        """
        owners, members = await self.served([partition]), await self.members()
        if member is None:
            await self._pins.remove(partition)
            return Handover(owners[partition], 0.0, 0.0)
        if member not in members:
            raise ConfigurationError(f"there is no worker {member!r}, only {', '.join(members)}")
        await self._pins.put(partition, member)
        if owners[partition].instance == member:
            return Handover(owners[partition], 0.0, 0.0)
        return await self._awaited(partition, lambda owner: owner.instance == member, show)

    async def rebuild(self, partition: int, show: Show) -> Handover:
        """Have the owner drop its state of the partition and read the log anew; return when that is done."""
        before = (await self.served([partition]))[partition]
        await self._command("shards.rebuild", generation=self._settings.generation, partition=str(partition))
        return await self._awaited(partition, lambda owner: owner.epoch > before.epoch, show)

    async def _command(self, name: str, **arguments: str) -> None:
        command = Command.model_validate(
            {
                "command_id": uuid4().hex,
                "name": name,
                "worker": "shards",
                "arguments": arguments,
                "requested_at": SystemClock().now(),
            }
        )
        await publish_once(self._settings, [outgoing(command)])

    async def _awaited(self, partition: int, arrived: Callable[[OwnerRecord], bool], show: Show) -> Handover:
        """Wait for the owner that is meant to be ready; raises `TransientError` when nothing moves."""
        began = moved = answered = time.monotonic()
        gap, last = 0.0, None
        while True:
            owner, now = (await self.owners()).get(partition), time.monotonic()
            if owner is not None:
                show(owner)
            if owner is not None and owner.ready:
                gap, answered = max(gap, now - answered), now
                if arrived(owner):
                    return Handover(owner, now - began, gap)
            state = owner and (owner.instance, owner.epoch, owner.next_offset)
            if state != last:
                last, moved = state, now
            if now - moved > OPENING_SECONDS:
                raise TransientError(f"partition {partition} does not get ready: {state}")
            await asyncio.sleep(POLL_SECONDS)


def _holds(answer: StoredShardAnswer, offset: int) -> bool:
    """Return whether the newest checkpoint has everything up to an offset."""
    stored = answer.checkpoints[0].next_offset if answer.checkpoints else None
    return offset == 0 or (stored is not None and stored >= offset)
