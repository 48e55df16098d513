"""Creates and changes the topics on a broker, as `topic_plan` decides."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.topic_plan import (
    Existing,
    TopicAction,
    TopicDifference,
    Wanted,
    compare,
    wanted_topics,
)
from shared.kafka.connection import connection, silent, unreachable
from shared.kafka.consumer import RecordConsumer
from shared.patience import answer_seconds
from shared.records import Partition
from shared.settings import Settings

_DYNAMIC_TOPIC_CONFIG = 1
_VISIBLE_SECONDS = 15.0
_POLL_SECONDS = 0.1


class Administration:
    """Asks and changes a broker, inside `connect(settings)`."""

    def __init__(self, client: AIOKafkaAdminClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def wanted_and_existing(self) -> tuple[list[Wanted], dict[str, Existing]]:
        """Return the topics as they should be, given those that are there, and these."""
        names = [topic.name for topic in wanted_topics(self._settings)]
        existing = await self.existing(names)
        counts = {name: topic.partitions for name, topic in existing.items()}
        return wanted_topics(self._settings, counts), existing

    async def existing(self, names: Sequence[str]) -> dict[str, Existing]:
        """Return those of the topics that exist."""
        # Describing an unknown topic creates it on brokers that create topics by themselves: list first.
        present = sorted(set(names) & set(await self._client.list_topics()))
        if not present:
            return {}
        described = await self._client.describe_topics(present)
        partitions = {topic["topic"]: len(topic["partitions"]) for topic in described}
        configs = await self._configs(present)
        filled = await self._with_messages(partitions)
        return {
            name: Existing(
                partitions[name],
                config=configs[name][0],
                effective=configs[name][1],
                empty=name not in filled,
            )
            for name in present
        }

    async def _configs(self, names: Sequence[str]) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs = {}
        for response in await self._client.describe_configs(resources):
            for code, message, _, name, entries in response.resources:
                _refuse(code, f"describe the configuration of {name}", message)
                own = {entry[0]: entry[1] for entry in entries if entry[3] == _DYNAMIC_TOPIC_CONFIG}
                configs[name] = (own, {entry[0]: entry[1] for entry in entries})
        return configs

    async def _with_messages(self, partitions: Mapping[str, int]) -> set[str]:
        prefix = self._settings.topic_prefix
        every = [
            Partition(name.removeprefix(prefix), number)
            for name, count in partitions.items()
            for number in range(count)
        ]
        consumer = RecordConsumer(self._settings)
        await consumer.start()
        try:
            edges = await consumer.edges(every)
        finally:
            await consumer.stop()
        return {prefix + partition.topic for partition, (first, end) in edges.items() if end > first}

    async def carry_out(self, change: TopicDifference, existing: Existing | None) -> None:
        """Make one difference disappear; raises `ConfigurationError` when the broker refuses."""
        if change.action is TopicAction.CREATE:
            await self._create(change.wanted)
            return
        if change.action is TopicAction.GROW:
            grown = {change.wanted.name: NewPartitions(change.wanted.partitions)}
            _check(await self._client.create_partitions(grown), f"add partitions to {change.wanted.name}")
        if change.config and existing:
            await self._configure(change.wanted, existing)

    async def _create(self, wanted: Wanted) -> None:
        topic = NewTopic(
            wanted.name,
            wanted.partitions,
            self._settings.replication,
            topic_configs=dict(wanted.config),
        )
        _check(await self._client.create_topics([topic]), f"create {wanted.name}")

    async def _configure(self, wanted: Wanted, existing: Existing) -> None:
        # This request replaces all that is set on the topic: what an operator set stays.
        config = {**existing.config, **wanted.config}
        resource = ConfigResource(ConfigResourceType.TOPIC, wanted.name, config)
        for response in await self._client.alter_configs([resource]):
            for code, message, *_ in response.resources:
                _refuse(code, f"configure {wanted.name}", message)

    async def delete(self, name: str) -> None:
        """Delete a topic, and what is in it; returns when it is gone."""
        response = await self._client.delete_topics([name])
        for _, code in response.topic_error_codes:
            _refuse(code, f"delete {name}", None)
        await self.until(lambda there: name not in there)

    async def until(self, holds: Callable[[set[str]], bool]) -> None:
        """Return when a condition on the names of all topics holds; raises `TransientError` after a while."""
        deadline = time.monotonic() + _VISIBLE_SECONDS
        while not holds(set(await self._client.list_topics())):
            if time.monotonic() > deadline:
                raise TransientError("the broker has not carried out a change of topics yet: try again")
            await asyncio.sleep(_POLL_SECONDS)


def _check(response: Any, what: str) -> None:  # Any: aiokafka's untyped responses
    for _, code, message in response.topic_errors:
        _refuse(code, what, message)


def _refuse(code: int, what: str, message: str | None) -> None:
    if code:
        error = for_code(code)
        raise ConfigurationError(
            f"the broker refuses to {what}: {message or error.description or error.__name__}"
        )


@asynccontextmanager
async def connect(settings: Settings, *, wait: timedelta = timedelta()) -> AsyncIterator[Administration]:
    """Connect to the broker, waiting for it if told; raises `TransientError` when it does not answer."""
    deadline = time.monotonic() + wait.total_seconds()
    while True:
        client = AIOKafkaAdminClient(**connection(settings))
        try:
            async with asyncio.timeout(answer_seconds()):
                await client.start()
            break
        except (KafkaError, OSError) as error:
            await client.close()
            if time.monotonic() >= deadline:
                timed_out = isinstance(error, TimeoutError)
                raise (silent(settings) if timed_out else await unreachable(settings)) from error
            await asyncio.sleep(_POLL_SECONDS)
    try:
        yield Administration(client, settings)
    finally:
        await client.close()


async def diff(settings: Settings, *, wait: timedelta = timedelta()) -> list[TopicDifference]:
    """Return what distinguishes the broker's topics from the wanted ones; changes nothing."""
    async with connect(settings, wait=wait) as administration:
        return compare(*await administration.wanted_and_existing())


async def apply(settings: Settings, *, wait: timedelta = timedelta()) -> list[TopicDifference]:
    """Create and change topics until they are as wanted; return what was done.

    Applying twice changes nothing the second time. When this returns, every created topic is visible.
    """
    async with connect(settings, wait=wait) as administration:
        wanted, existing = await administration.wanted_and_existing()
        changes = compare(wanted, existing)
        for change in changes:
            await administration.carry_out(change, existing.get(change.wanted.name))
        names = {topic.name for topic in wanted}
        await administration.until(lambda there: names <= there)
    return changes
