"""What is done about a topic, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import all_topics
from shared.infrastructure.topic_plan import (
    Action,
    Difference,
    Existing,
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
    ("there", "force", "action"),
    [
        (None, False, Action.CREATE),
        (existing(4), False, Action.UNCHANGED),
        (existing(4, "delete"), False, Action.CONFIGURE),
        (existing(2), False, Action.GROW),
        (existing(2, empty=False), False, Action.REFUSE),
        (existing(2, empty=False), True, Action.GROW),
        (existing(6), False, Action.REFUSE),
        (existing(6), True, Action.RECREATE),
    ],
)
def test_what_is_done_about_a_topic(there: Existing | None, force: bool, action: Action) -> None:
    assert difference(WANTED, there, force=force).action is action


def test_a_difference_names_the_settings_that_change_with_both_values() -> None:
    assert difference(WANTED, existing(4, "delete")).config == {"cleanup.policy": ("delete", "compact")}


@given(
    partitions=st.integers(1, 9),
    there=st.none()
    | st.builds(existing, st.integers(1, 9), st.sampled_from(["compact", "delete"]), empty=st.booleans()),
)
def test_without_force_nothing_is_ever_deleted_or_made_smaller(
    partitions: int, there: Existing | None
) -> None:
    change = difference(Wanted("things", partitions), there)
    assert change.action is not Action.RECREATE
    if there and partitions < there.partitions:
        assert change.action is Action.REFUSE
    if change.action is Action.REFUSE:
        assert change.why


@given(
    partitions=st.integers(1, 9),
    there=st.none()
    | st.builds(existing, st.integers(1, 9), st.sampled_from(["compact", "delete"]), empty=st.booleans()),
    force=st.booleans(),
)
def test_what_was_carried_out_has_no_difference_left(
    partitions: int, there: Existing | None, force: bool
) -> None:
    wanted = Wanted("things", partitions, {"cleanup.policy": "compact"})
    after = carried_out(difference(wanted, there, force=force), there)
    again = difference(wanted, after, force=force)
    assert again.action in {Action.UNCHANGED, Action.REFUSE}


def carried_out(change: Difference, before: Existing | None) -> Existing | None:
    if change.action is Action.REFUSE:
        return before
    config = {**(dict(before.effective) if before else {}), **change.wanted.config}
    return Existing(change.wanted.partitions, config=config, effective=config)


def test_every_topic_is_wanted_under_its_prefix_with_the_configured_partitions() -> None:
    settings = Settings(topic_prefix="shop.", partitions=7, generation="g2")
    wanted = wanted_topics(settings)
    assert [topic.name for topic in wanted] == ["shop." + spec.name for spec in all_topics("g2")]
    assert {topic.name: topic.partitions for topic in wanted}["shop.index.records.g2"] == 7
    assert all(change.action is Action.CREATE for change in compare(wanted, {}))


def test_with_three_replicas_an_acknowledged_message_is_on_two_machines() -> None:
    assert all("min.insync.replicas" not in topic.config for topic in wanted_topics(Settings(replication=1)))
    assert all(topic.config["min.insync.replicas"] == "2" for topic in wanted_topics(Settings(replication=3)))
