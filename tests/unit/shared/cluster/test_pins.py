"""Where partitions go that an operator has moved."""

from hypothesis import given
from hypothesis import strategies as st

from shared.cluster.pins import pinned
from shared.cluster.rendezvous import place

members = st.lists(st.sampled_from("abcde"), min_size=1, unique=True)
pins = st.dictionaries(st.integers(0, 9), st.sampled_from("abcdxyz"))


@given(st.integers(1, 8), members, pins)
def test_every_partition_has_one_living_owner_and_only_those_that_were_moved_have_another(
    count, living, wishes
):
    placed = place(count, living)
    owners = pinned(placed, wishes, living)
    assert owners.keys() == placed.keys()
    for partition, owner in owners.items():
        assert owner in living
        assert owner == (wishes[partition] if wishes.get(partition) in living else placed[partition])
