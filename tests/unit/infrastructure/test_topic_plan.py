"""What is done about a topic, and what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import all_topics, sharded
from shared.infrastructure.topic_plan import (
    Existing,
    TopicAction,
    TopicDifference,
    Wanted,
    compare,
    difference,
    wanted_topics,
)
from shared.settings import Settings

WANTED = Wanted("things", 4, {"cleanup.policy": "compact"})


def existing(partitions: int, policy: str = "compact", *, empty: bool = True) -> Existing:
    config = {"cleanup.policy": policy}
    return Existing(partitions, config=config, effective={**config, "retention.ms": "604800000"}, empty=empty)


@pytest.mark.parametrize(
    ("there", "external", "action", "partitions"),
    [
        (None, True, TopicAction.CREATE, 4),
        (existing(4), True, TopicAction.UNCHANGED, 4),
        (existing(4, "delete"), True, TopicAction.CONFIGURE, 4),
        (existing(2), True, TopicAction.GROW, 4),
        (existing(2, empty=False), True, TopicAction.UNCHANGED, 2),
        (existing(2, empty=False), False, TopicAction.GROW, 4),
        (existing(6), True, TopicAction.UNCHANGED, 6),
        (existing(6, "delete", empty=False), False, TopicAction.CONFIGURE, 6),
    ],
)
def test_what_is_done_about_a_topic(
    there: Existing | None, external: bool, action: TopicAction, partitions: int
) -> None:
    change = difference(replace(WANTED, external=external), there)
    assert (change.action, change.wanted.partitions) == (action, partitions)


def test_a_difference_names_the_settings_that_change_with_both_values() -> None:
    assert difference(WANTED, existing(4, "delete")).config == {"cleanup.policy": ("delete", "compact")}


THERE = st.none() | st.builds(
    existing, st.integers(1, 9), st.sampled_from(["compact", "delete"]), empty=st.booleans()
)


@given(partitions=st.integers(1, 9), there=THERE, external=st.booleans())
def test_nothing_is_ever_made_smaller_and_what_is_kept_is_said(
    partitions: int, there: Existing | None, external: bool
) -> None:
    change = difference(Wanted("things", partitions, external=external), there)
    if there:
        assert change.wanted.partitions >= there.partitions
        assert bool(change.why) is (change.wanted.partitions != partitions)
    assert "force" not in change.why


@given(partitions=st.integers(1, 9), there=THERE, external=st.booleans())
def test_what_was_carried_out_has_no_difference_left(
    partitions: int, there: Existing | None, external: bool
) -> None:
    wanted = Wanted("things", partitions, {"cleanup.policy": "compact"}, external=external)
    after = carried_out(difference(wanted, there), there)
    assert difference(wanted, after).action is TopicAction.UNCHANGED


def carried_out(change: TopicDifference, before: Existing | None) -> Existing:
    config = {**(dict(before.effective) if before else {}), **change.wanted.config}
    empty = before is None or before.empty
    return Existing(change.wanted.partitions, config=config, effective=config, empty=empty)


def test_every_topic_is_wanted_under_its_prefix_with_the_configured_partitions() -> None:
    settings = Settings(topic_prefix="shop.", partitions=7, generation="g2")
    wanted = wanted_topics(settings)
    assert [topic.name for topic in wanted] == ["shop." + spec.name for spec in all_topics("g2")]
    assert {topic.name: topic.partitions for topic in wanted}["shop.index.records.g2"] == 7
    assert all(change.action is TopicAction.CREATE for change in compare(wanted, {}))


@pytest.mark.parametrize("configured", [2, 8])
def test_an_installation_keeps_its_number_of_shards_whatever_is_configured(configured: int) -> None:
    counts = dict.fromkeys(sharded("g1"), 4) | {"index.records.g1": 6, "catalogue.changes.v1": 5}
    wanted = {topic.name: topic for topic in wanted_topics(Settings(partitions=configured), counts)}
    assert {wanted[name].partitions for name in sharded("g1")} == {4}
    assert wanted["catalogue.changes.v1"].partitions == configured
    assert wanted["alerts.v1"].partitions == 1


def test_with_three_replicas_an_acknowledged_message_is_on_two_machines() -> None:
    assert all("min.insync.replicas" not in topic.config for topic in wanted_topics(Settings(replication=1)))
    assert all(topic.config["min.insync.replicas"] == "2" for topic in wanted_topics(Settings(replication=3)))
