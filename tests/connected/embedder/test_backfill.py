"""A new generation takes over what another one has; killed in the midst of it, it ends up with the truth."""

from collections.abc import Callable
from random import Random

import pytest

from shared.errors import RewindError, TransientError
from shared.generations.replay import REPLAYED
from shared.records import Outgoing

from .conftest import PARTITION, Bench, Bus, batch, change
from .test_crashes import assert_records_say, random_change

pytestmark = pytest.mark.connected


async def lamps(bench: Bench, count: int) -> None:
    """Fill the first generation; lamp 1 gets a price, lamp 2 is deleted, lamp 3 is a patch alone."""
    handler = bench.handler()
    await handler.assigned(PARTITION)
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(count)]
    await handler.handle(PARTITION, batch(0, *changes))
    await handler.handle(
        PARTITION,
        batch(
            count, change("p1", "patch", 2, price=9), change("p2", "delete", 2), change("x", "patch", 1, a=1)
        ),
    )


async def test_all_is_taken_over_once_and_changes_are_read_from_where_the_source_was(
    bench: Bench, candidate: Bench
) -> None:
    await lamps(bench, 5)
    handler = candidate.handler(source=bench.bus)
    assert await handler.assigned(PARTITION) == 5
    assert len(candidate.bus.log) == 5
    assert candidate.encoder.embedded == 4
    records = candidate.bus.latest
    assert records["p1"].document.fields == {"title": "lamp 1", "price": 9}
    assert records["p1"].fingerprint == candidate.encoder.fingerprint
    assert records["p2"].deleted
    assert (records["p1"].source, records["p1"].event_time) == (
        bench.bus.latest["p1"].source,
        bench.bus.latest["p1"].event_time,
    )
    assert all(dict(message.headers) == {REPLAYED: b"1"} for message in candidate.bus.log)
    again = batch(5, change("p1", "patch", 2, price=9), change("p2", "upsert", 1, title="back"))
    assert (await handler.handle(PARTITION, again)).no_op == 2
    assert await candidate.handler(source=bench.bus).assigned(PARTITION) == 7


@pytest.mark.parametrize("arrived", [0, 1, 63, 64])
async def test_a_kill_in_the_midst_repeats_no_more_than_a_step(
    bench: Bench, candidate: Bench, arrived: int
) -> None:
    await lamps(bench, 200)
    published = candidate.bus.publish
    calls = 0

    async def die(messages: list[Outgoing]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            candidate.bus.survive = set(range(arrived))
        await published(messages)

    candidate.bus.publish = die  # type: ignore[method-assign]  # the broker goes away in the second step
    with pytest.raises(TransientError):
        await candidate.handler(source=bench.bus).assigned(PARTITION)
    candidate.bus.publish = published  # type: ignore[method-assign]  # as above
    assert len(candidate.bus.log) == 64 + arrived
    assert await candidate.handler(source=bench.bus).assigned(PARTITION) == 200
    assert len(candidate.bus.log) == 201  # what had arrived was found there; the price of p1 lies behind
    assert candidate.encoder.embedded == 199 + 64 - arrived
    assert {key: each.text for key, each in candidate.bus.latest.items() if not each.deleted} == {
        key: each.text for key, each in bench.bus.latest.items() if not each.deleted
    }


async def test_a_source_of_the_same_model_gives_its_vectors_too(bench: Bench, candidate: Bench) -> None:
    await lamps(bench, 5)
    same = Bench(bench.redis, candidate.store, bench.encoder, bench.front)
    before = bench.encoder.embedded
    assert await same.handler(source=bench.bus).assigned(PARTITION) == 5
    assert bench.encoder.embedded == before
    assert same.bus.latest["p4"].vectors == bench.bus.latest["p4"].vectors
    handler = same.handler(source=bench.bus)
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(8, change("p4", "patch", 3, price=1)))
    assert bench.encoder.embedded == before


async def test_a_source_that_is_gone_leaves_the_changes_to_be_read_from_their_beginning(
    candidate: Bench,
) -> None:
    assert await candidate.handler(source=Bus()).assigned(PARTITION) is None


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_killed_and_forgotten_both_generations_say_the_same(
    bench: Bench, candidate: Bench, forget: Callable[[], object], seed: int
) -> None:
    """The source is ahead by some changes; the candidate is killed, and Redis emptied, at any moment."""
    rng = Random(f"backfill {seed}")
    log = [random_change(rng) for _ in range(60)]
    ahead = rng.randint(1, len(log))
    source = bench.handler()
    await source.assigned(PARTITION)
    for place in range(0, ahead, 7):
        await source.handle(PARTITION, batch(place, *log[place : min(place + 7, ahead)]))
    position = 0
    handler = None
    while position < len(log):
        try:
            if rng.random() < 0.3:
                candidate.bus.survive = set(rng.sample(range(6), 3))
            if handler is None or rng.random() < 0.2:
                if rng.random() < 0.3:
                    await forget()
                handler = candidate.handler(source=bench.bus)
                resumed = await handler.assigned(PARTITION)
                position = resumed or 0
            taken = log[position : position + rng.randint(1, 5)]
            await handler.handle(PARTITION, batch(position, *taken))
            position += len(taken)
        except (RewindError, TransientError):
            handler = None
    assert_records_say(candidate.bus, log)
