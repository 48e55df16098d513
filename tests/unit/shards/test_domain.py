"""Sealing, merging, placement, bitmaps: the decisions, as values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.shards.domain.apply import supersedes
from services.shards.domain.bitmap import pack, unpack
from services.shards.domain.compaction import CompactionPolicy, SegmentSize, merge_candidates, must_seal
from services.shards.domain.filters import text_key
from services.shards.records import entry
from shared.cluster.rendezvous import place
from shared.generations.replay import REPLAYED
from tests.unit.shards.builders import NORTH, message, raw

POLICY = CompactionPolicy(seal_rows=100, fan_in=3)
members = st.lists(st.text("abcdef0123", min_size=1, max_size=6), min_size=1, max_size=9, unique=True)


@given(st.integers(1, 64), members, st.randoms(use_true_random=False))
def test_every_member_computes_the_same_even_placement(partitions, names, rng):
    owners = place(partitions, names)
    rng.shuffle(names)
    assert place(partitions, names) == owners
    assert sorted(owners) == list(range(partitions))
    assert max(list(owners.values()).count(name) for name in names) <= -(-partitions // len(names))


def test_one_more_member_moves_few_partitions():
    before, after = place(64, ["a", "b", "c"]), place(64, ["a", "b", "c", "d"])
    moved = sum(before[each] != after[each] for each in before)
    assert moved <= 32
    assert place(4, []) == {}


@given(st.lists(st.booleans(), max_size=40))
def test_bitmaps_read_back(rows):
    mask = np.array(rows, np.bool_)
    assert unpack(pack(mask).tobytes(), len(rows)).tolist() == rows


def test_a_bitmap_of_another_length_is_refused():
    with pytest.raises(ValueError, match="cannot describe 9 rows"):
        unpack(b"\0", 9)


def test_a_text_is_known_by_a_number_that_is_the_same_everywhere():
    assert text_key("red") == 0xA3480A2FAF17E90D
    assert text_key("red") != text_key("Red")


def test_the_head_is_sealed_when_it_is_full():
    assert not must_seal(POLICY, rows=99)
    assert must_seal(POLICY, rows=100)


def test_a_mostly_dead_segment_is_rewritten_alone():
    sizes = [SegmentSize("a", 100, 100), SegmentSize("b", 100, 60), SegmentSize("c", 50, 0)]
    assert merge_candidates(POLICY, sizes) == ("b",)
    assert merge_candidates(POLICY, [SegmentSize("a", 100, 100, 39)]) == ()
    assert merge_candidates(POLICY, [SegmentSize("a", 100, 90, 30)]) == ("a",)


def test_small_segments_are_merged_before_large_ones():
    small = [SegmentSize(f"s{n}", 10, 10) for n in range(3)]
    large = [SegmentSize(f"l{n}", 1000, 1000) for n in range(3)]
    assert merge_candidates(POLICY, [*large, *small]) == ("s0", "s1", "s2")
    assert merge_candidates(POLICY, [*large, *small[:2]]) == ("s0", "s1")
    assert merge_candidates(POLICY, [*large, *small[:1]]) == ("l0", "l1", "l2")
    assert merge_candidates(POLICY, [*large[:2], *small[:1]]) == ()


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_merging_comes_to_an_end_with_few_segments(rows):
    policy = CompactionPolicy(seal_rows=100, fan_in=3)
    sizes = [SegmentSize(str(number), each, each) for number, each in enumerate(rows)]
    for turn in range(200):
        chosen = merge_candidates(policy, sizes)
        if not chosen:
            break
        merged = sum(each.rows for each in sizes if each.name in chosen)
        sizes = [each for each in sizes if each.name not in chosen]
        sizes.append(SegmentSize(f"m{turn}", merged, merged))
    assert not merge_candidates(policy, sizes)
    assert len(sizes) <= 2 * 8


def test_an_older_epoch_loses_and_within_one_the_log_decides():
    assert not supersedes(1, 2)
    assert supersedes(2, 2)
    assert supersedes(3, 2)
    assert supersedes(None, 2)
    assert supersedes(0, None)


def test_what_a_backfill_repeats_is_told_from_news():
    news = raw(0, message("a", NORTH))
    repeated = replace(news, headers=((REPLAYED, b"1"),))
    assert [entry(news).replayed, entry(repeated).replayed] == [False, True]
