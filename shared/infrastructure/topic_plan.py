"""Topics as they should be against topics as they are: the difference, and what to do about it.

Nothing is lost without `force`: a topic is never deleted, its partitions never become fewer, and a topic
with messages in it gets no more partitions, because that moves keys away from their earlier messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.topics import TopicSpec, all_topics
from shared.settings import Settings


class Action(StrEnum):
    """What has to be done to a topic."""

    UNCHANGED = "unchanged"
    CREATE = "create"
    CONFIGURE = "change configuration"
    GROW = "add partitions"
    RECREATE = "delete and create"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Wanted:
    """A topic as it should be, under its full name."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Existing:
    """A topic as the broker has it; `config` holds what is set on the topic itself."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    effective: Mapping[str, str] = field(default_factory=dict)
    """`config` and the broker's defaults."""
    empty: bool = True


@dataclass(frozen=True)
class Difference:
    """What distinguishes a topic from what it should be, and what to do about it."""

    wanted: Wanted
    action: Action
    before: int | None = None
    """Partitions it has; None: there is no such topic."""
    config: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    """Settings that change, from what to what."""
    why: str = ""


def wanted_topics(settings: Settings) -> list[Wanted]:
    """Return every topic of the installation that `settings` describe."""
    return [wanted_topic(spec, settings) for spec in all_topics(settings.generation)]


def wanted_topic(spec: TopicSpec, settings: Settings) -> Wanted:
    """Return one topic as the installation wants it."""
    config = spec.configuration()
    if settings.replication >= 3:  # acks=all then means: on two machines at least
        config.setdefault("min.insync.replicas", "2")
    return Wanted(settings.topic_prefix + spec.name, spec.partitions or settings.partitions, config)


def difference(wanted: Wanted, existing: Existing | None, *, force: bool = False) -> Difference:
    """Decide what to do about one topic."""
    if existing is None:
        return Difference(wanted, Action.CREATE, config={k: (None, v) for k, v in wanted.config.items()})
    changed = {
        name: (existing.effective.get(name), value)
        for name, value in wanted.config.items()
        if existing.effective.get(name) != value
    }
    action, why = _partitions(wanted, existing, force=force)
    if action is Action.UNCHANGED and changed:
        action = Action.CONFIGURE
    return Difference(wanted, action, before=existing.partitions, config=changed, why=why)


def _partitions(wanted: Wanted, existing: Existing, *, force: bool) -> tuple[Action, str]:
    if wanted.partitions < existing.partitions:
        if force:
            return Action.RECREATE, "its messages are lost"
        return Action.REFUSE, "partitions cannot become fewer; --force deletes the topic and its messages"
    if wanted.partitions > existing.partitions:
        if existing.empty or force:
            return Action.GROW, "" if existing.empty else "keys move to other partitions"
        return Action.REFUSE, "it has messages, and keys would move to other partitions; --force does it"
    return Action.UNCHANGED, ""


def compare(
    wanted: Sequence[Wanted], existing: Mapping[str, Existing], *, force: bool = False
) -> list[Difference]:
    """Decide what to do about every topic."""
    return [difference(topic, existing.get(topic.name), force=force) for topic in wanted]
