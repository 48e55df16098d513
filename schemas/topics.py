"""The one list of topics: name, key, message, partitions, cleanup, retention."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Literal

from schemas.alerts import Alert
from schemas.base import Message
from schemas.catalogue import Acceptance, ProductChange
from schemas.control import Command, Model, Rollout, TrainingJob
from schemas.findings import CatalogueFindings
from schemas.index import AttributeRecord, IndexRecord
from schemas.judgements import Canary, Judgement, Negative, Outcome
from schemas.loads import CatalogueLoad
from schemas.search import SearchEvent, SearchQuery
from schemas.trials import TrialSession

DAY = timedelta(days=1)
FOREVER = timedelta(milliseconds=-1)
TOMBSTONES = 7 * DAY
DEAD_LETTER_SUFFIX = ".dlq"
REPARTITION_SUFFIX = ".repartition"
KEPT_WHOLE = {"min.compaction.lag.ms": str(int(7 * DAY / timedelta(milliseconds=1)))}
"""Nothing younger is compacted away: a data set is named by ranges of offsets, and within a week it can be
built again bit for bit, to compare models on it or to see why one is as it is."""
BROKERS_TIME = {"message.timestamp.type": "LogAppendTime"}
"""The broker's clock counts, also for retention: a producer's time may lie years back, or be none at all. Of
ours too: a broker refuses what is written by a clock that is an hour ahead."""
LETTER_BYTES = 2 * 1024 * 1024
"""A dead letter is its message and a dozen headers: the largest message that a broker takes by default
(1 MiB) must fit, else the letter is refused and the worker can never go on."""


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """A topic as it should be; `partitions` None means the configured number of shards."""

    name: str
    key: str
    message: type[Message]
    partitions: int | None = None
    cleanup: Literal["delete", "compact"] = "delete"
    retention: timedelta = 7 * DAY
    description: str
    dead_letters: bool = False
    external: bool = False
    """Others write it too, through partitioners and with clocks of their own. So what a message says decides
    which state it belongs to, not its partition: one that lies elsewhere goes through a repartition topic."""
    also: tuple[type[Message], ...] = ()
    """Messages of other kinds that lie in it, under keys of their own."""
    config: Mapping[str, str] = field(default_factory=dict)

    def configuration(self) -> dict[str, str]:
        """Return the topic's configuration as Kafka names it."""
        milliseconds = {"retention.ms": self.retention, "delete.retention.ms": TOMBSTONES}
        if self.cleanup == "delete":
            del milliseconds["delete.retention.ms"]
        else:
            del milliseconds["retention.ms"]
        named = {name: str(int(span / timedelta(milliseconds=1))) for name, span in milliseconds.items()}
        return {"cleanup.policy": self.cleanup, **named, **BROKERS_TIME, **self.config}


TOPICS: tuple[TopicSpec, ...] = (
    TopicSpec(
        name=ProductChange.topic,
        key="product id",
        message=ProductChange,
        retention=FOREVER,
        dead_letters=True,
        external=True,
        description="Products written, patched, deleted; you write it.",
    ),
    TopicSpec(
        name=Acceptance.topic,
        key="source",
        message=Acceptance,
        partitions=1,
        retention=FOREVER,
        description="Sources whose versions went back, and from when on they count; a command writes it.",
    ),
    TopicSpec(
        name=CatalogueLoad.topic,
        key="source, tab, load id",
        message=CatalogueLoad,
        partitions=1,
        cleanup="compact",
        description="Files that were loaded, and where their products lie; a command writes it.",
    ),
    TopicSpec(
        name=CatalogueFindings.topic,
        key="product id",
        message=CatalogueFindings,
        partitions=1,
        retention=30 * DAY,
        description="What was cut, left out, empty or a duplicate in products, and why; you read it.",
    ),
    TopicSpec(
        name=SearchQuery.topic,
        key="query id",
        message=SearchQuery,
        retention=90 * DAY,
        dead_letters=True,
        external=True,
        description="What was asked and shown (UBI 1.3 query); the search API or your front end writes it.",
    ),
    TopicSpec(
        name=SearchEvent.topic,
        key="query id",
        message=SearchEvent,
        retention=90 * DAY,
        dead_letters=True,
        external=True,
        description="What shoppers did (UBI 1.3 event); you write it.",
    ),
    TopicSpec(
        name=Outcome.topic,
        key="normalised query",
        message=Outcome,
        retention=90 * DAY,
        dead_letters=True,
        description="Actions joined to the query that showed the product.",
    ),
    TopicSpec(
        name=Judgement.topic,
        key="query, tab, product id",
        message=Judgement,
        cleanup="compact",
        dead_letters=True,
        config=KEPT_WHOLE,
        description="Rolling relevance judgements; you read it.",
    ),
    TopicSpec(
        name=Canary.topic,
        key="canary id",
        message=Canary,
        partitions=1,
        cleanup="compact",
        dead_letters=True,
        description="Queries whose right products are known; you write it.",
    ),
    TopicSpec(
        name=Negative.topic,
        key="query, tab, product id",
        message=Negative,
        cleanup="compact",
        config=KEPT_WHOLE,
        description="Hard negatives mined from the live index.",
    ),
    TopicSpec(
        name=TrainingJob.topic,
        key="job id",
        message=TrainingJob,
        partitions=1,
        cleanup="compact",
        description="Fine-tuning jobs and their progress.",
    ),
    TopicSpec(
        name=Model.topic,
        key="model id",
        message=Model,
        partitions=1,
        cleanup="compact",
        description="Models built, with lineage and verdict.",
    ),
    TopicSpec(
        name=Rollout.topic,
        key="generation",
        message=Rollout,
        partitions=1,
        retention=FOREVER,
        description="Which generation answers which share of the searches.",
    ),
    TopicSpec(
        name=TrialSession.topic,
        key="trial, tab, session",
        message=TrialSession,
        partitions=1,
        retention=400 * DAY,
        description="What each session of a trial said of the two generations; its end follows from it.",
    ),
    TopicSpec(
        name=Alert.topic,
        key="alert key",
        message=Alert,
        partitions=1,
        cleanup="compact",
        description="What broke or drifted, firing to resolved; you read it.",
    ),
    TopicSpec(
        name=Command.topic,
        key="command id",
        message=Command,
        partitions=1,
        description="Orders to the workers.",
    ),
)


def sharded(generation: str) -> list[str]:
    """Return the topics of ours that have as many partitions as the installation has shards."""
    return [topic.name for topic in all_topics(generation) if topic.partitions is None and not topic.external]


def index_records(generation: str) -> TopicSpec:
    """Return the topic that holds one generation's index records; its partitions are the shards."""
    return TopicSpec(
        name=f"{IndexRecord.topic}.{generation}",
        key="product id",
        message=IndexRecord,
        cleanup="compact",
        dead_letters=True,
        also=(AttributeRecord,),
        description="Every product of one index generation, complete: its index record, and beside it what "
        "changed since of nothing that was embedded; shards are built from it.",
    )


def dead_letters(topic: TopicSpec) -> TopicSpec:
    """Return the topic that takes the messages of `topic` that could not be used, byte for byte."""
    return TopicSpec(
        name=topic.name + DEAD_LETTER_SUFFIX,
        key=topic.key,
        message=topic.message,
        partitions=1,
        retention=30 * DAY,
        config={"max.message.bytes": str(LETTER_BYTES)},
        description=f"Messages of {topic.name} that could not be used, with the reason in their headers.",
    )


def repartition(topic: TopicSpec) -> TopicSpec:
    """Return the topic in which messages of `topic` are forwarded to the partition of what they are about."""
    return TopicSpec(
        name=repartition_topic(topic.name),
        key=topic.key,
        message=topic.message,
        retention=topic.retention,
        config={"max.message.bytes": str(LETTER_BYTES)},
        description=f"Messages of {topic.name} on their way from the partition where they were written to "
        "that of what they are about, byte for byte; where they lay is in their headers.",
    )


def repartition_topic(name: str) -> str:
    """Return the name of a topic's repartition topic."""
    return name + REPARTITION_SUFFIX


def all_topics(generation: str) -> tuple[TopicSpec, ...]:
    """Return every topic of an installation whose live index is `generation`."""
    return (
        *TOPICS,
        *(repartition(topic) for topic in TOPICS if topic.external),
        *(dead_letters(topic) for topic in TOPICS if topic.dead_letters),
        *topics_of(generation),
    )


def topics_of(generation: str) -> tuple[TopicSpec, TopicSpec]:
    """Return the topics that one generation has for itself, that of its records first."""
    records = index_records(generation)
    return records, dead_letters(records)


def is_external(name: str) -> bool:
    """Whether it is a topic of ours that others write too."""
    spec = topic_spec(name)
    return spec is not None and spec.external


@cache
def topic_spec(name: str) -> TopicSpec | None:
    """Return what is said of the topic of that name, of whatever generation; None: it is not one of ours."""
    if name.startswith(f"{IndexRecord.topic}."):
        generation = name.removeprefix(f"{IndexRecord.topic}.").removesuffix(DEAD_LETTER_SUFFIX)
        return next((topic for topic in topics_of(generation) if topic.name == name), None)
    return next((topic for topic in all_topics("") if topic.name == name), None)
