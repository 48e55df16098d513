"""Everybody computes the same owners, evenly spread, and a change of members moves little."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cluster.rendezvous import place

members = st.lists(
    st.text("abcdefgh-0123456789", min_size=1, max_size=12), min_size=1, max_size=9, unique=True
)
partitions = st.integers(1, 48)


def moved(before: dict[int, str], after: dict[int, str]) -> set[int]:
    return {partition for partition, owner in before.items() if after[partition] != owner}


@given(partitions, members)
def test_every_partition_has_one_owner_out_of_the_members(count, names):
    owners = place(count, names)
    assert sorted(owners) == list(range(count))
    assert set(owners.values()) <= set(names)


@given(partitions, members)
def test_no_member_has_more_than_its_share(count, names):
    assert max(Counter(place(count, names).values()).values()) <= math.ceil(count / len(names))


@given(partitions, members, st.randoms(use_true_random=False))
def test_all_compute_the_same_whatever_the_order_and_repetition_of_the_list(count, names, rng):
    shuffled = [*names, *names]
    rng.shuffle(shuffled)
    assert place(count, shuffled) == place(count, names)


def test_it_is_the_same_on_every_machine_and_after_every_restart():
    assert place(8, ["embedder-1", "embedder-2", "embedder-3"]) == {
        0: "embedder-2", 1: "embedder-3", 2: "embedder-3", 3: "embedder-3",
        4: "embedder-1", 5: "embedder-2", 6: "embedder-1", 7: "embedder-2",
    }  # fmt: skip


@given(st.integers(1, 200), members)
def test_where_there_is_room_for_all_a_newcomer_takes_and_nobody_else_gets_anything(seed, names):
    """One partition a member at most: nothing is levelled, so what moves, moves to the newcomer."""
    newcomer = f"new-{seed}"
    before, after = place(1, names), place(1, [*names, newcomer])
    assert all(after[partition] == newcomer for partition in moved(before, after))


@pytest.mark.parametrize("count", [16, 64, 256])
@pytest.mark.parametrize("living", [2, 3, 5, 8])
def test_one_member_more_or_less_moves_few_partitions(count, living):
    names = [f"worker-{number}" for number in range(living + 1)]
    small, large = place(count, names[:-1]), place(count, names)
    share = count / (living + 1)
    for before, after in [(small, large), (large, small)]:
        assert share - 2 <= len(moved(before, after)) <= 2.5 * share + 2  # dealt out in turn: nearly all


def test_the_last_member_has_everything_and_nobody_has_nothing():
    assert place(3, ["one"]) == {0: "one", 1: "one", 2: "one"}
    assert place(3, []) == {}
