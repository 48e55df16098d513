"""Topics as they should be against topics as they are: the difference, and what to do about it.

Nothing is ever lost or moved: no topic is deleted, and what is there keeps its partitions, whatever is
configured. Their number counts when the topics of an installation are made. What others write gets more
while it is empty; what only we write gets them when somebody made it too small, since we name the partition
of every message there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from schemas.topics import TopicSpec, all_topics, sharded
from shared.settings import Settings
from shared.state.installation import shards_of


class TopicAction(StrEnum):
    """What has to be done to a topic."""

    UNCHANGED = "unchanged"
    CREATE = "create"
    CONFIGURE = "change configuration"
    GROW = "add partitions"


@dataclass(frozen=True)
class Wanted:
    """A topic as it should be, under its full name."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    """Others write it too, and say themselves where a key belongs."""


@dataclass(frozen=True)
class Existing:
    """A topic as the broker has it; `config` holds what is set on the topic itself."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    effective: Mapping[str, str] = field(default_factory=dict)
    """`config` and the broker's defaults."""
    empty: bool = True


@dataclass(frozen=True)
class TopicDifference:
    """What distinguishes a topic from what it should be, and what to do about it."""

    wanted: Wanted
    action: TopicAction
    before: int | None = None
    """Partitions it has; None: there is no such topic."""
    config: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    """Settings that change, from what to what."""
    why: str = ""


def wanted_topics(settings: Settings, counts: Mapping[str, int] | None = None) -> list[Wanted]:
    """Return every topic of the installation that `settings` describe.

    `counts` are the partitions of topics that are there: what is shared out among shards has as many as most
    of its kind.
    """
    prefix, counts = settings.topic_prefix, counts or {}
    ours = sharded(settings.generation)
    shards = shards_of(counts.get(prefix + name, 0) for name in ours) or settings.partitions
    as_made = settings.model_copy(update={"partitions": shards})
    return [
        wanted_topic(spec, as_made if spec.name in ours else settings)
        for spec in all_topics(settings.generation)
    ]


def wanted_topic(spec: TopicSpec, settings: Settings) -> Wanted:
    """Return one topic as the installation wants it."""
    config = spec.configuration()
    if settings.replication >= 3:  # acks=all then means: on two machines at least
        config.setdefault("min.insync.replicas", "2")
    partitions = spec.partitions or settings.partitions
    return Wanted(settings.topic_prefix + spec.name, partitions, config, external=spec.external)


def difference(wanted: Wanted, existing: Existing | None) -> TopicDifference:
    """Decide what to do about one topic."""
    if existing is None:
        return TopicDifference(
            wanted, TopicAction.CREATE, config={k: (None, v) for k, v in wanted.config.items()}
        )
    changed = {
        name: (existing.effective.get(name), value)
        for name, value in wanted.config.items()
        if existing.effective.get(name) != value
    }
    grows = wanted.partitions > existing.partitions and (existing.empty or not wanted.external)
    action = TopicAction.CONFIGURE if changed else TopicAction.UNCHANGED
    return TopicDifference(
        wanted if grows else replace(wanted, partitions=existing.partitions),
        TopicAction.GROW if grows else action,
        before=existing.partitions,
        config=changed,
        why="" if grows or wanted.partitions == existing.partitions else _kept(wanted, existing),
    )


def _kept(wanted: Wanted, existing: Existing) -> str:
    return f"keeps its {existing.partitions} partitions: {wanted.partitions} count only for a new topic"


def compare(wanted: Sequence[Wanted], existing: Mapping[str, Existing]) -> list[TopicDifference]:
    """Decide what to do about every topic."""
    return [difference(topic, existing.get(topic.name)) for topic in wanted]
