"""What a broker says of its cluster and of topics: one request, newer than aiokafka's own.

aiokafka 0.14 asks for metadata in version 5. The identity of a topic (KIP-516), which distinguishes one that
was deleted and made anew from the one before, comes with version 10 (Kafka 2.8). An older broker is asked in
version 5, and its topics have no identity.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.kafka.connection import connection, silent, unreachable
from shared.kafka.refusals import forbidden
from shared.patience import answer_seconds
from shared.settings import Settings

FORBIDDEN = TopicAuthorizationFailedError.errno
NO_IDENTITY = UUID(int=0)


class _Identity(AbstractType[UUID]):  # type: ignore[misc]  # aiokafka is untyped here
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> UUID:  # Any: a stream of bytes
        return UUID(bytes=data.read(16))


class MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801 - its way to name versions
    """KIP-516: metadata with the identity of each topic."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Identity),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as above
    """Topics by name or by identity."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Identity), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


_Versions: TypeAlias = MetadataRequest_v5 | MetadataRequest_v10


class _Metadata(Request[_Versions]):  # type: ignore[misc]  # as above
    """The request in the newest version that the broker knows; it creates no topic."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Versions]) -> _Versions:
        if issubclass(request_struct_class, MetadataRequest_v10):
            topics: list[tuple[object, ...]] = [(NO_IDENTITY, topic, {}) for topic in self._topics]
            return request_struct_class(topics, False, False, False, {})
        return request_struct_class(list(self._topics), False)


@dataclass(frozen=True, slots=True)
class TopicMetadata:
    """A topic as the broker has it now."""

    partitions: int = 0
    """0: there is no such topic."""
    identity: str = ""
    """What distinguishes it from every other topic there was under its name; empty: the broker has none."""


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """What a broker says of its cluster, and of the topics that it was asked for."""

    cluster: str
    topics: Mapping[str, TopicMetadata]
    """By name without prefix."""


async def describe(settings: Settings, topics: Iterable[str] = ()) -> ClusterMetadata:
    """Return the identity of the cluster and what each topic is now, over a connection of its own.

    Raises `TransientError` when no broker answers, or it refuses us or a topic.
    """
    client = AIOKafkaClient(**connection(settings))
    prefix = settings.topic_prefix
    try:
        async with asyncio.timeout(answer_seconds()):
            await client.bootstrap()
            reply = await client.send(
                client.get_random_node(), _Metadata(sorted({prefix + topic for topic in topics}))
            )
    except TimeoutError as error:
        raise silent(settings) from error
    except (KafkaError, OSError) as error:
        raise await unreachable(settings) from error
    finally:
        await client.close()
    answer = reply.to_object()
    refused = [topic["topic"] for topic in answer["topics"] if topic["error_code"] == FORBIDDEN]
    if refused:
        raise forbidden(settings.kafka, "topics " + ", ".join(refused))
    return ClusterMetadata(
        cluster=settings.kafka_cluster or answer["cluster_id"] or "",
        topics={topic["topic"].removeprefix(prefix): _topic(topic) for topic in answer["topics"]},
    )


def _topic(answer: Mapping[str, Any]) -> TopicMetadata:  # Any: a reply as aiokafka decodes it
    identity = answer.get("topic_id", NO_IDENTITY)
    return TopicMetadata(len(answer["partitions"]), "" if identity == NO_IDENTITY else identity.hex)
