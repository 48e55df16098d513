"""Every record of a fetch by itself: as aiokafka reads it, or damaged, and no other one with it."""

import gzip
import tracemalloc
from hashlib import sha256
from types import SimpleNamespace

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import example, given
from hypothesis import strategies as st

from shared.kafka import fetched
from shared.kafka.batch_records import QUICK_BYTES, RECORD_BYTES
from shared.kafka.fetched import BoundedFetchResult, FetchedBatches, SeparateRecords
from shared.records import HEAD_BYTES, Excerpt
from tests.raw_batches import CODECS, batch, body, message, number

AT = TopicPartition("t", 0)
MIB = 1024 * 1024
TRANSACTIONAL, CONTROL = 0x10, 0x20
OWN = fetched.PartitionRecords
"""aiokafka's, that ours takes the place of."""

contents = st.none() | st.binary(max_size=40)
headers = st.lists(st.tuples(st.text(max_size=5).map(str.encode), contents), max_size=3)
parts = st.tuples(contents, contents, headers)


def reading(raw: bytes, *, start: int = 0, aborted: tuple[tuple[int, int], ...] = ()) -> SeparateRecords:
    return SeparateRecords(AT, FetchedBatches(raw), list(aborted), start, None, None, True, READ_COMMITTED)


def read(raw: bytes, *, start: int = 0) -> list:
    return list(reading(raw, start=start))


def reasons(records) -> dict[int, str]:
    return {record.offset: record.damage.reason for record in records if hasattr(record, "damage")}


def content(*bodies: bytes) -> bytes:
    return b"".join(number(len(record)) + record for record in bodies)


@given(
    records=st.lists(parts, min_size=1, max_size=8), codec=st.sampled_from([*CODECS]), start=st.integers(0, 9)
)
def test_what_is_well_is_read_as_aiokafka_reads_it(records, codec, start):
    bodies = [
        body(offset, value, key=key, headers=named, time=offset)
        for offset, (key, value, named) in enumerate(records)
    ]
    raw = batch(*bodies, codec=codec)
    ours = reading(raw, start=start)
    theirs = OWN(AT, MemoryRecords(raw), [], start, None, None, True, READ_COMMITTED)
    assert [*ours] == [*theirs]
    assert ours.next_fetch_offset == max(start, len(records))


@given(
    damaged=st.lists(st.sampled_from([None, "name", "negative", "many", "short", "offset"]), max_size=9),
    codec=st.sampled_from([*CODECS]),
)
def test_one_record_that_cannot_be_read_costs_none_of_its_neighbours(damaged, codec):
    kinds = {
        None: lambda at: body(at, b"good"),
        "name": lambda at: body(at, b"v", headers=[(b"\xff\xfe", b"v")]),
        "negative": lambda at: body(at, b"v", count=-3),
        "many": lambda at: body(at, b"v", count=10**12),
        "short": lambda at: body(at, b"value")[:-3],
        "offset": lambda at: body(at + 5_000, b"v"),
    }
    records = read(batch(*[kinds[kind](at) for at, kind in enumerate(damaged)], codec=codec))
    assert [record.offset for record in records] == [*range(len(damaged))]
    assert [record.value for record in records if not hasattr(record, "damage")] == [
        b"good" for kind in damaged if kind is None
    ]
    assert reasons(records) == {
        at: "header.invalid" if kind == "name" else "record.malformed"
        for at, kind in enumerate(damaged)
        if kind is not None
    }


@given(
    records=st.lists(parts, min_size=1, max_size=5),
    codec=st.sampled_from([*CODECS]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 30),
)
@example(records=[(None, b"v", [])], codec=0, changes=[(0, 0)], cut=30)
def test_whatever_bytes_a_batch_has_it_is_passed_and_every_offset_comes_once_at_most(
    records, codec, changes, cut
):
    bodies = [body(at, value, key=key, headers=named) for at, (key, value, named) in enumerate(records)]
    compressed = bytearray(CODECS[codec](content(*bodies)))
    for place, byte in changes:
        compressed[place % len(compressed)] = byte
    raw = batch(*bodies, codec=codec, content=bytes(compressed[: len(compressed) - cut]))
    unread = reading(raw + batch(body(0, b"next"), base=len(bodies)))
    offsets = [record.offset for record in unread]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(bodies)
    assert unread.next_fetch_offset == len(bodies) + 1


def test_of_a_batch_that_breaks_off_the_rest_is_one_record_with_its_digest():
    raw = batch(codec=0, content=content(body(0, b"a"), body(1, b"b")) + number(99), count=5)
    first, second, rest = read(raw)
    assert (first.value, second.value, rest.offset) == (b"a", b"b", 2)
    assert rest.damage.reason == "batch.unreadable"
    assert "offsets 2 to 4 cannot be read" in rest.damage.explanation
    assert rest.damage.excerpts == (Excerpt("batch", len(raw), sha256(raw).hexdigest()),)
    assert rest.value == raw[:HEAD_BYTES]


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_record_of_zeros_without_end_is_its_head_and_its_digest_in_little_memory(codec):
    size = 48 * MIB
    compressed = CODECS[codec](content(body(0, b"before"), body(1, bytes(size)), body(2, b"behind")))
    raw = batch(codec=codec, content=compressed, count=3)
    del compressed
    tracemalloc.start()
    before, long, behind = read(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * QUICK_BYTES < size
    assert (before.value, behind.value) == (b"before", b"behind")
    assert (long.key, long.value) == (b"k", bytes(HEAD_BYTES))
    assert long.damage.reason == "message.too_large"
    assert long.damage.excerpts == (Excerpt("value", size, sha256(bytes(size)).hexdigest()),)


def test_a_key_and_headers_without_end_are_left_out_too():
    headers = [(b"h", bytes(RECORD_BYTES))]
    raw = batch(body(0, b"v", key=bytes(RECORD_BYTES), headers=headers), body(1, b"behind"), codec=4)
    long, behind = read(raw)
    assert (long.key, long.value, long.headers) == (bytes(HEAD_BYTES), b"v", ())
    assert "too many headers" in long.damage.explanation
    assert behind.value == b"behind"


def test_records_are_handed_on_in_portions_that_fit_into_memory():
    bodies = [body(at, bytes(7 * MIB)) for at in range(8)]
    unread = reading(batch(*bodies, codec=4))
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    result = BoundedFetchResult(AT, assignment=assignment, partition_records=unread, backoff=0)
    portions = []
    while result.has_more():
        portions.append([record.offset for record in result.getall(500)])
    assert portions == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert state.position == 8


def test_a_checksum_that_stays_wrong_is_a_dead_letter_and_the_next_batch_is_read():
    good, bad = batch(body(0, b"good"), body(1, b"good")), batch(body(0, b"bad"), base=2)
    raw = good + bad[:-1] + b"!" + batch(body(0, b"next"), base=3)
    for _ in range(fetched.ATTEMPTS - 1):
        with pytest.raises(CorruptRecordException):
            read(raw, start=2)
    assert reasons(read(raw, start=2)) == {2: "batch.unreadable"}
    for _ in range(fetched.ATTEMPTS - 1):
        with pytest.raises(CorruptRecordException):
            read(raw)
    assert [record.value for record in read(raw) if not hasattr(record, "damage")] == [
        b"good",
        b"good",
        b"next",
    ]


def test_of_a_broken_header_no_offset_is_believed_that_would_skip_what_is_well():
    raw = bytearray(batch(body(0, b"bad")))
    raw[23:27] = (2**30).to_bytes(4, "big")  # the last offset, as far away as can be
    for _ in range(fetched.ATTEMPTS - 1):
        with pytest.raises(CorruptRecordException):
            read(bytes(raw))
    unread = reading(bytes(raw))
    assert reasons(unread) == {0: "batch.unreadable"}
    assert unread.next_fetch_offset == 1


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", [0, 1, 2, 3])
def test_the_older_formats_are_read_as_aiokafka_reads_them(magic, codec):
    inner = [message(at if magic else 10 + at, b"k", b"v%d" % at, magic=magic) for at in range(3)]
    raw = message(12, None, CODECS[codec](b"".join(inner)), magic=magic, codec=codec) if codec else inner[0]
    ours = [(record.offset, record.key, record.value) for record in read(raw)]
    if (magic, codec) != (0, 3):  # which aiokafka does not read (KAFKA-3160)
        theirs = OWN(AT, MemoryRecords(raw), [], 0, None, None, True, READ_COMMITTED)
        assert ours == [(record.offset, record.key, record.value) for record in theirs]
    assert len(ours) == (3 if codec else 1)


def test_a_bomb_in_an_older_format_is_its_head_too():
    inner = message(0, b"k", b"v", magic=1) + message(1, b"k", bytes(20 * MIB), magic=1)
    first, long = read(message(1, None, gzip.compress(inner), magic=1, codec=1))
    assert (first.offset, first.value, long.offset) == (0, b"v", 1)
    assert long.damage.excerpts == (Excerpt("value", 20 * MIB, sha256(bytes(20 * MIB)).hexdigest()),)


def test_what_was_aborted_and_the_ends_of_transactions_are_passed_over():
    marker = body(0, b"\0" * 6, key=b"\0\0\0\0")
    raw = (
        batch(body(0, b"aborted"), attributes=TRANSACTIONAL, producer=7)
        + batch(body(0, b"other"), attributes=TRANSACTIONAL, producer=8, base=1)
        + batch(marker, attributes=TRANSACTIONAL | CONTROL, producer=7, base=2)
        + batch(body(0, b"committed"), attributes=TRANSACTIONAL, producer=7, base=3)
        + batch(b"", attributes=TRANSACTIONAL | CONTROL, producer=8, base=4)
    )
    unread = reading(raw, aborted=((7, 0),))
    assert [(record.offset, record.value) for record in unread] == [(1, b"other"), (3, b"committed")]
    assert unread.next_fetch_offset == 5


@pytest.mark.parametrize("last", [-1, 0, 4], ids=["no offset", "one", "compacted"])
def test_a_batch_without_records_is_passed_over(last):
    unread = reading(batch(count=0, last=last))
    assert [*unread] == []
    assert unread.next_fetch_offset == max(1, last + 1)


def test_a_batch_that_is_not_whole_is_reported_and_not_asked_for_again_and_again():
    whole = batch(body(0, b"value"), body(1, b"value"))
    for _ in range(fetched.ATTEMPTS - 1):
        with pytest.raises(CorruptRecordException):
            read(whole[:-5])
    assert reasons(read(whole[:-5])) == {0: "batch.unreadable"}
    assert [record.value for record in read(whole + whole[:-5])] == [b"value", b"value"]
