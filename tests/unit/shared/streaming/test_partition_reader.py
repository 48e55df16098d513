"""Handled, or dead-lettered with the reason, or the process stops: one partition, read in memory."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from schemas.alerts import Alert
from shared.errors import FatalError, FencedError, PoisonError, RewindError
from shared.records import Log, Partition
from shared.streaming.context import BatchLimits
from shared.streaming.dead_letters import PREFIX as CONNECT
from tests.unit.shared.streaming.partition import Keeper, World, away

DRAIN = timedelta(seconds=10)
KINDS = st.sampled_from([b"good", b"rubbish", b"poison", None])


def metric(name: str, topic: str) -> float | None:
    return REGISTRY.get_sample_value(
        f"headrace_{name}", {"reader": "keeper", "topic": topic, "partition": "0"}
    )


def alerts(world: World) -> list[Alert]:
    return [Alert.decode(message.value or b"") for message in world.publisher.of(Alert.topic)]


async def turn(times: int = 50) -> None:
    """Let everything that is ready to run do so."""
    for _ in range(times):
        await asyncio.sleep(0)


# Where it begins


async def test_it_begins_where_the_state_ends() -> None:
    world = World("begin", [b"a", b"b", b"c", b"d"], stored=2)
    await world.read()
    assert world.handler.kept == [b"c", b"d"]


async def test_a_new_state_begins_with_the_first_record_there_is() -> None:
    world = World("begin", [b"a", b"b"], beginning=7)
    await world.read()
    assert (world.handler.kept, world.handler.next_offset) == ([b"a", b"b"], 9)
    assert alerts(world) == []


async def test_a_poll_that_fails_is_made_again() -> None:
    world = World("begin", [b"a"])
    world.consumer.poll_failures = away(3)
    await world.read()
    assert world.handler.kept == [b"a"]


async def test_a_broker_that_is_away_at_the_start_is_waited_for() -> None:
    world = World("begin", [b"a"])
    world.consumer.offset_failures = away(3)
    await world.read()
    assert world.handler.kept == [b"a"]


async def test_while_the_state_is_taken_over_it_has_no_position() -> None:
    world = World("begin", [b"a"])
    taken = asyncio.Event()

    async def assigned(partition: Partition, source: Log) -> None:
        await taken.wait()

    world.handler.assigned = assigned  # type: ignore[method-assign]
    reader = world.reader()
    await turn()
    assert reader.next_offset is None
    taken.set()
    await world.handler.until(lambda: world.handler.kept == [b"a"])
    await turn()
    assert reader.next_offset == 1
    await reader.stop(DRAIN)


# Batches


async def test_a_batch_has_at_most_so_many_messages() -> None:
    world = World("batches", [b"%d" % number for number in range(10)])
    await world.read(BatchLimits(messages=4, poll=timedelta(milliseconds=5)))
    assert [len(batch.messages) for batch in world.handler.batches] == [4, 4, 2]
    assert [batch.next_offset for batch in world.handler.batches] == [4, 8, 10]
    assert set(world.consumer.polls) == {4}


async def test_a_batch_ends_with_the_message_that_reaches_its_size() -> None:
    world = World("batches", [b"x" * 98] * 5)  # with their keys 100 bytes each
    await world.read(BatchLimits(size=150, poll=timedelta(milliseconds=5)))
    assert [len(batch.messages) for batch in world.handler.batches] == [2, 2, 1]


async def test_a_message_larger_than_a_batch_is_one_of_its_own() -> None:
    world = World("batches", [b"x" * 500, b"y"])
    await world.read(BatchLimits(size=150, poll=timedelta(milliseconds=5)))
    assert [len(batch.messages) for batch in world.handler.batches] == [1, 1]


async def test_the_handler_is_given_records_as_they_were_read() -> None:
    world = World("batches", [b"a"])
    await world.read()
    [(record, _)] = world.handler.batches[0].messages
    assert (record.partition, record.offset, record.key) == (Partition("batches", 0), 0, b"k0")
    assert record.headers == (("trace", b"t"),)


async def test_what_is_written_later_is_read_too() -> None:
    world = World("batches", [b"a"])
    reader = world.reader(BatchLimits(poll=timedelta(hours=1)))
    await world.handler.until(lambda: world.handler.kept == [b"a"])
    world.consumer.write(b"b")
    await world.handler.until(lambda: world.handler.kept == [b"a", b"b"])
    await reader.stop(DRAIN)


# Poison


@given(
    kinds=st.lists(KINDS, max_size=12),
    messages=st.integers(1, 6),
    size=st.integers(1, 60),
    trouble=st.lists(st.booleans(), max_size=12),
)
async def test_every_message_is_kept_or_dead_lettered_once_and_in_order(
    kinds: Sequence[bytes | None], messages: int, size: int, trouble: Sequence[bool]
) -> None:
    """Whatever is poison, however batches fall, and whatever is away for how long."""
    values = [kind and b"%b %d" % (kind, number) for number, kind in enumerate(kinds)]
    world = World("property", values)
    world.handler.failures = away(sum(trouble))
    world.publisher.failures = away(len(trouble) - sum(trouble))
    limits = BatchLimits(messages=messages, size=size, poll=timedelta(milliseconds=5))
    reader = world.reader(limits)
    await world.handler.until(lambda: (world.handler.next_offset or 0) == len(values))
    await reader.stop(DRAIN)
    assert not world.failed.done()
    assert world.handler.kept == [value for value in values if value and value.startswith(b"good")]
    bad = [offset for offset, value in enumerate(values) if not (value and value.startswith(b"good"))]
    assert sorted(int(dict(letter.headers)[f"{CONNECT}offset"]) for letter in world.letters) == bad


async def test_poison_is_found_one_by_one_and_the_offset_passes_it() -> None:
    world = World("poison", [b"a", b"poison", b"b"])
    await world.read()
    given = [([value for _, value in batch.messages], batch.next_offset) for batch in world.handler.batches]
    assert given == [
        ([b"a", b"poison", b"b"], 3),
        ([b"a"], 1),
        ([b"poison"], 2),
        ([], 2),
        ([b"b"], 3),
        ([], 3),
    ]


async def test_what_is_skipped_is_counted_by_its_kind_and_the_offset_passes_it() -> None:
    world = World("skipped", [b"a", b"heartbeat", b"b", b"heartbeat"])
    await world.read()
    assert world.handler.kept == [b"a", b"b"]
    assert world.handler.next_offset == 4
    assert world.letters == []
    labels = {"reader": "keeper", "topic": "skipped", "partition": "0", "kind": "heartbeat"}
    assert REGISTRY.get_sample_value("headrace_skipped_total", labels) == 2


async def test_a_letter_says_in_ten_headers_where_it_lay_and_why() -> None:
    world = World("letters", [b"a", b"rubbish \xff", b"poison"])
    await world.read()
    rubbish, poison = world.letters
    assert (rubbish.key, rubbish.value) == (b"k1", b"rubbish \xff")
    headers = dict(rubbish.headers)
    trace = headers.pop(f"{CONNECT}exception.stacktrace").decode()
    assert trace.endswith("PoisonError: value.rubbish: it cannot be read\n")
    assert headers == {
        "trace": b"t",
        f"{CONNECT}topic": b"letters",
        f"{CONNECT}partition": b"0",
        f"{CONNECT}offset": b"1",
        f"{CONNECT}connector.name": b"headrace-keeper-g1",
        f"{CONNECT}task.id": b"0",
        f"{CONNECT}stage": b"VALUE_CONVERTER",
        f"{CONNECT}class.name": f"{Keeper.__module__}.Keeper".encode(),
        f"{CONNECT}exception.class.name": b"PoisonError",
        f"{CONNECT}exception.message": b"value.rubbish: it cannot be read",
        "headrace.reason": b"value.rubbish",
    }
    assert dict(poison.headers)["headrace.reason"] == b"value.poison"


async def test_the_offset_does_not_pass_poison_whose_letter_is_not_written() -> None:
    world = World("letters", [b"a", b"poison"])
    world.publisher.failures = [FatalError("the broker refuses letters")]
    world.reader()
    assert isinstance(await world.failure(), FatalError)
    assert world.handler.next_offset == 1
    assert world.letters == []


async def test_a_handler_that_calls_nothing_poison_stops_the_process() -> None:
    world = World("poison", [b"rubbish"])
    world.handler.failures = [PoisonError("none.at.all", "an empty batch")]
    world.reader()
    assert "calls an empty batch poison" in str(await world.failure())


# Trouble


async def test_a_batch_is_tried_again_as_it_was_and_nothing_more_is_read_meanwhile() -> None:
    world = World("trouble", [b"a", b"b", b"c"])
    world.handler.failures = away(5)
    await world.read(BatchLimits(messages=2, poll=timedelta(milliseconds=5)))
    first, *again = world.handler.batches[:6]
    assert [batch.messages for batch in again] == [first.messages] * 5
    assert world.handler.kept == [b"a", b"b", b"c"]
    assert metric("retries_total", "trouble") == 5


async def test_the_partition_rests_while_a_batch_is_in_hand() -> None:
    world = World("trouble", [b"a", b"b"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(0)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    await turn()
    assert len(world.consumer.polls) == 1
    world.handler.open.set()
    await world.handler.until(lambda: world.handler.kept == [b"a", b"b"])
    await reader.stop(DRAIN)


@pytest.mark.parametrize(
    "error", [FatalError("stop"), FencedError("newer owner"), KeyError("a bug"), ValueError("unknown")]
)
async def test_anything_but_poison_and_passing_trouble_stops_the_process(error: Exception) -> None:
    world = World("fatal", [b"a"])
    world.handler.failures = [error]
    reader = world.reader()
    assert await world.failure() is error
    assert (world.handler.next_offset, reader.next_offset) == (None, 0)
    assert world.letters == []


async def test_messages_that_are_unaccounted_for_stop_the_process() -> None:
    world = World("accounts", [b"a", b"b"])
    world.handler.unaccounted = 1
    reader = world.reader()
    failure = await world.failure()
    assert isinstance(failure, FatalError)
    assert "2 messages handled as Applied(applied=1, no_op=0, forwarded=0, older=0)" in str(failure)
    assert reader.next_offset == 0


async def test_a_reader_whose_state_was_lost_reads_on_where_the_state_ends_and_counts_each_message_once() -> (
    None
):
    world = World("rewinds", [b"a", b"b", b"c", b"d"], stored=1)
    world.handler.failures = [RewindError("the state is gone"), RewindError("and again")]
    await world.read()
    assert world.handler.kept == [b"b", b"c", b"d"]
    assert [len(batch.messages) for batch in world.handler.batches] == [3, 3, 3]
    assert [metric(name, "rewinds") for name in ("consumed_total", "applied_total")] == [3, 3]


async def test_an_idle_reader_that_is_sent_back_asks_where_to_read_on() -> None:
    world = World("sent back", [b"a", b"b", b"c"])
    reader = world.reader()
    await world.handler.until(lambda: world.handler.kept == [b"a", b"b", b"c"])
    world.handler.next_offset = 1
    reader.rewind("there is a reason")
    await world.handler.until(lambda: world.handler.kept == [b"a", b"b", b"c", b"b", b"c"])
    await reader.stop(DRAIN)


async def test_a_reader_that_is_sent_back_ends_the_batch_in_hand_first() -> None:
    world = World("in hand", [b"a", b"b"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(milliseconds=5)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    reader.rewind("there is a reason")
    world.handler.open.set()
    await world.handler.until(lambda: world.handler.kept == [b"a", b"b"])
    await reader.stop(DRAIN)
    assert len(world.handler.batches) == 2


# Offset gaps


async def test_what_retention_removed_is_one_alert_and_the_state_passes_it_first() -> None:
    world = World("gaps", [b"6", b"7"], stored=2, beginning=6)
    await world.read()
    [alert] = alerts(world)
    assert alert.alert_key == "offset-gap:gaps-0:2"
    assert (alert.evidence["from"], alert.evidence["to"]) == (2, 6)
    assert (world.handler.batches[0].messages, world.handler.batches[0].next_offset) == ((), 6)
    assert world.handler.kept == [b"6", b"7"]


async def test_a_gap_is_not_said_again_after_a_restart() -> None:
    world = World("gaps", [], stored=2, beginning=6)
    await world.read()
    await world.read()
    assert len(alerts(world)) == 1


async def test_a_gap_is_said_before_the_state_passes_it() -> None:
    world = World("gaps", [], stored=2, beginning=6)
    world.publisher.failures = [FatalError("no alert can be written")]
    world.reader()
    await world.failure()
    assert world.handler.next_offset == 2


async def test_a_log_without_identity_that_ends_early_is_an_alert_and_read_from_its_beginning() -> None:
    world = World("anew", [b"0", b"1"], stored=30)
    reader = world.reader()
    await world.handler.until(lambda: world.handler.next_offset == 2)
    world.consumer.write(b"2")
    await world.handler.until(lambda: world.handler.kept == [b"0", b"1", b"2"])
    await reader.stop(DRAIN)
    assert "ends at 2, before the 30" in alerts(world)[0].summary


async def test_retention_that_overtakes_a_reader_is_an_alert_and_it_goes_on() -> None:
    world = World("overtaken", [b"0", b"1", b"2"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(milliseconds=5)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    world.consumer.remove(before=2)
    world.handler.open.set()
    await world.handler.until(lambda: world.handler.next_offset == 3)
    await reader.stop(DRAIN)
    assert [(alert.evidence["from"], alert.evidence["to"]) for alert in alerts(world)] == [(1, 2)]
    assert world.handler.kept == [b"0", b"2"]


# The end


async def test_a_reader_that_waits_for_news_stops_at_once() -> None:
    world = World("stop")
    reader = world.reader(BatchLimits(poll=timedelta(hours=1)))
    await turn()
    await reader.stop(DRAIN)
    assert world.handler.released == 1
    assert not world.failed.done()


async def test_the_batch_in_hand_is_finished_and_no_other_begun() -> None:
    world = World("stop", [b"a", b"b"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(0)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    stopping = asyncio.ensure_future(reader.stop(DRAIN))
    await turn()
    assert (stopping.done(), world.handler.released) == (False, 0)
    world.handler.open.set()
    await stopping
    assert (world.handler.kept, world.handler.next_offset, world.handler.released) == ([b"a"], 1, 1)


async def test_a_reader_that_ceases_begins_no_other_batch_and_keeps_its_state_until_it_is_stopped() -> None:
    world = World("stop", [b"a", b"b"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(0)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    reader.cease()
    world.handler.open.set()
    await turn()
    assert (world.handler.kept, world.handler.next_offset, world.handler.released) == ([b"a"], 1, 0)
    await reader.stop(DRAIN)
    assert world.handler.released == 1


async def test_chunks_of_one_poll_that_were_not_begun_are_left_to_the_next_reader() -> None:
    world = World("stop", [b"a", b"b", b"c"])
    world.handler.open.clear()
    reader = world.reader(BatchLimits(size=1, poll=timedelta(0)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    stopping = asyncio.ensure_future(reader.stop(DRAIN))
    await turn()
    world.handler.open.set()
    await stopping
    assert world.handler.kept == [b"a"]
    await world.read()
    assert world.handler.kept == [b"a", b"b", b"c"]


async def test_a_batch_that_outlasts_the_drain_is_cut_and_its_offset_stays() -> None:
    world = World("stop", [b"a"])
    world.handler.open.clear()
    reader = world.reader()
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    await reader.stop(timedelta(0))
    assert (world.handler.next_offset, reader.next_offset, world.handler.released) == (None, 0, 1)
    assert not world.failed.done()


async def test_trouble_during_the_stop_is_neither_retried_nor_a_failure() -> None:
    world = World("stop", [b"a"])
    world.handler.open.clear()
    world.handler.failures = away(1)
    reader = world.reader()
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    stopping = asyncio.ensure_future(reader.stop(DRAIN))
    await turn()
    world.handler.open.set()
    await stopping
    assert len(world.handler.batches) == 1
    assert not world.failed.done()


async def test_what_is_fatal_during_the_stop_is_still_heard_of() -> None:
    world = World("stop", [b"a"])
    world.handler.open.clear()
    world.handler.failures = [FatalError("the disk is full")]
    reader = world.reader()
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    stopping = asyncio.ensure_future(reader.stop(DRAIN))
    await turn()
    world.handler.open.set()
    await stopping
    assert "the disk is full" in str(await world.failure())


async def test_a_reader_that_was_never_started_can_be_stopped() -> None:
    world = World("stop", [b"a"])
    await world.reader(start=False).stop(DRAIN)
    assert world.handler.released == 0


# What it measures


async def test_offset_and_lag_are_exported_while_it_reads_and_by_the_next_owner_after() -> None:
    world = World("measured", [b"a", b"b", b"c"], stored=1)
    world.handler.open.clear()
    reader = world.reader(BatchLimits(messages=1, poll=timedelta(0)))
    await world.handler.until(lambda: len(world.handler.batches) == 1)
    assert (metric("applied_offset", "measured"), metric("lag_messages", "measured")) == (1, 2)
    world.handler.open.set()
    await world.handler.until(lambda: world.handler.next_offset == 3)
    await turn()
    assert (metric("applied_offset", "measured"), metric("lag_messages", "measured")) == (3, 0)
    await reader.stop(DRAIN)
    assert (metric("applied_offset", "measured"), metric("lag_messages", "measured")) == (None, None)


async def test_what_was_read_is_applied_or_dead_lettered_in_the_counters_too() -> None:
    world = World("counted", [b"a", b"rubbish", b"poison", b"b"])
    await world.read()
    assert metric("consumed_total", "counted") == 4
    assert metric("applied_total", "counted") == 2
    labels = {"reader": "keeper", "topic": "counted", "partition": "0"}
    for reason in ("value.rubbish", "value.poison"):
        assert REGISTRY.get_sample_value("headrace_dead_lettered_total", {**labels, "reason": reason}) == 1
