"""What goes between search and shards in frames: every sample is read and written, and damage is told."""

from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import shard_frames
from schemas.filters import RangeFilter
from schemas.shard_frames import pack, pack_filters, unpack, unpack_filters

KINDS = {kind.__name__: kind for kind in shard_frames.CONTRACTS}
EVERY = pytest.mark.parametrize("name", KINDS)


def sample(name):
    return (files("schemas.golden") / f"shard_frames.{name}.msgpack").read_bytes()


@EVERY
def test_a_sample_is_read_and_written_again_byte_for_byte(name):
    assert pack(unpack(sample(name), KINDS[name])) == sample(name)


@EVERY
def test_what_is_added_at_the_end_is_ignored_and_what_is_missing_is_an_error(name):
    values = msgspec.msgpack.decode(sample(name))
    longer = msgspec.msgpack.encode([*values, "added in 2031"])
    assert pack(unpack(longer, KINDS[name])) == sample(name)
    with pytest.raises(ValueError, match="at least length"):
        unpack(b"\x90", KINDS[name])


@EVERY
@given(st.binary(max_size=40) | st.integers(0, 200).map(lambda end: -end))
def test_rubbish_is_told_and_nothing_else_happens(name, rubbish):
    body = rubbish if isinstance(rubbish, bytes) else sample(name)[:rubbish]
    try:
        unpack(body, KINDS[name])
    except ValueError:
        return
    assert pack(unpack(body, KINDS[name]))


def test_filters_are_as_the_search_api_has_them():
    filters = (RangeFilter(op="range", field="price", lt=90),)
    assert unpack_filters(pack_filters(filters)) == filters
    assert unpack_filters(pack_filters(())) == ()
    with pytest.raises(ValueError, match="33 filters, of which there may be 32"):
        unpack_filters(pack_filters(filters * 33))


def test_bounds_are_checked_where_a_question_is_read():
    question = unpack(sample("CandidatesQuestion"), shard_frames.CandidatesQuestion)
    for wrong in (
        {"k": 0},
        {"k": 10_001},
        {"partitions": tuple(range(1025))},
        {"mode": "other"},
        {"text": "x" * 32_769},
    ):
        with pytest.raises(ValueError, match=r"Expected|Invalid"):
            unpack(pack(msgspec.structs.replace(question, **wrong)), shard_frames.CandidatesQuestion)
