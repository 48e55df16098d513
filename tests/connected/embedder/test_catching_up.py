"""What was published and not stored is never taken back: no record knows less than one before it."""

from random import Random

import pytest

from shared.errors import PoisonError, TransientError
from shared.records import Applied, Batch

from .conftest import FORWARDED, PARTITION, Bench, batch, change
from .test_crashes import assert_nothing_goes_back, assert_records_say

pytestmark = pytest.mark.connected
WRITTEN = change("p", "upsert", 1, title="lamp", price=1)
SECOND, THIRD = change("p", "patch", 2, price=2), change("p", "patch", 3, price=3)


async def crashed(bench: Bench, *, survive: int = 1) -> None:
    """Publish the third price and end before it is stored."""
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, WRITTEN))
    bench.bus.survive = set(range(survive))
    with pytest.raises(TransientError):
        await handler.handle(PARTITION, batch(1, SECOND, THIRD))


def price(bench: Bench) -> object:
    return bench.bus.latest["p"].document.fields["price"]


async def test_a_successor_that_reads_less_at_once_publishes_no_older_state(bench: Bench) -> None:
    await crashed(bench)
    successor = bench.handler()
    assert await successor.assigned(PARTITION) == 1
    assert await successor.handle(PARTITION, batch(1, SECOND)) == Applied(0, 1)
    assert price(bench) == 3
    assert await successor.handle(PARTITION, batch(2, THIRD)) == Applied(0, 1)
    assert_nothing_goes_back(bench.bus)


async def test_a_successor_that_reads_the_other_log_first_publishes_no_older_state(bench: Bench) -> None:
    await crashed(bench)
    successor = bench.handler()
    await successor.assigned(FORWARDED)
    await successor.handle(FORWARDED, batch(0, change("p", "patch", 2, brand="Acme"), at=FORWARDED))
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 3, "brand": "Acme"}
    assert_nothing_goes_back(bench.bus)


async def test_nor_does_who_goes_on_with_the_other_log_after_a_failure(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.assigned(FORWARDED)
    await handler.handle(PARTITION, batch(0, WRITTEN))
    bench.bus.survive = {0}
    with pytest.raises(TransientError):
        await handler.handle(PARTITION, batch(1, THIRD))
    await handler.handle(FORWARDED, batch(0, SECOND, at=FORWARDED))
    assert price(bench) == 3
    assert await handler.handle(PARTITION, batch(1, THIRD)) == Applied(0, 1)
    assert len(bench.bus.log) == 2
    assert_nothing_goes_back(bench.bus)


async def test_nor_who_isolates_a_poisonous_message(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, WRITTEN))
    publish = bench.bus.publish

    async def refuse(messages: list) -> None:
        await publish(messages[:1])
        bench.bus.publish = publish
        raise PoisonError("output.too_large", "the second one")

    bench.bus.publish = refuse
    with pytest.raises(PoisonError):
        await handler.handle(PARTITION, batch(1, SECOND, THIRD, change("q", "upsert", 1, price=1)))
    assert await handler.handle(PARTITION, batch(1, SECOND)) == Applied(0, 1)
    assert price(bench) == 3
    assert_nothing_goes_back(bench.bus)


async def test_what_the_shards_did_not_hear_is_said_again(bench: Bench) -> None:
    """A former owner publishes when it has been fenced out: its epoch counts for nothing."""
    await crashed(bench)
    unheard = bench.bus.log.pop()
    owner = bench.handler()
    await owner.assigned(PARTITION)
    await owner.handle(PARTITION, batch(1, change("p", "patch", 2, brand="Acme")))
    bench.bus.log.append(unheard)
    successor = bench.handler()
    assert await successor.assigned(PARTITION) == 2
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 3, "brand": "Acme"}


async def test_who_takes_over_again_and_again_publishes_once(bench: Bench) -> None:
    await crashed(bench)
    for _ in range(3):
        await bench.handler().assigned(PARTITION)
    assert len(bench.bus.log) == 3
    assert bench.encoder.embedded == 1


async def test_who_takes_over_and_crashes_leaves_it_to_the_next(bench: Bench) -> None:
    await crashed(bench)
    bench.bus.survive = set()
    with pytest.raises(TransientError):
        await bench.handler().assigned(PARTITION)
    successor = bench.handler()
    await successor.assigned(PARTITION)
    assert bench.bus.latest["p"].epoch > bench.bus.records[0].epoch
    await successor.handle(PARTITION, batch(1, SECOND, THIRD))
    assert_nothing_goes_back(bench.bus)
    assert price(bench) == 3


async def test_records_that_were_made_anew_are_read_from_their_beginning(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    for offset, one in enumerate((WRITTEN, SECOND, THIRD)):
        await handler.handle(PARTITION, batch(offset, one))
    del bench.bus.log[:2]
    successor = bench.handler()
    assert await successor.assigned(PARTITION) == 3
    assert (price(bench), bench.bus.latest["p"].epoch > bench.bus.written[0].epoch) == (3, True)


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_fails_between_publishing_and_storing_nothing_goes_back(
    bench: Bench, seed: int
) -> None:
    rng = Random(f"catching up {seed}")
    logs = {PARTITION: [], FORWARDED: []}
    for version in range(1, 60):
        product_id, name = rng.choice("pq"), rng.choice(("price", "brand", "title"))
        op = "upsert" if version < 4 else rng.choices(("patch", "upsert", "delete"), (8, 2, 1))[0]
        one = change(product_id, op, version, **({} if op == "delete" else {name: f"{name} {version}"}))
        logs[rng.choice(list(logs))].append(one)
    places: dict[object, int] = {}
    handler = bench.handler()
    while any(places.get(at, 0) < len(log) for at, log in logs.items()):
        at = rng.choice(list(logs))
        first = places.get(at, 0)
        taken = logs[at][first : first + rng.randint(1, 6)]
        bench.bus.survive = (
            {number for number in range(3) if rng.random() < 0.7} if rng.random() < 0.4 else None
        )
        try:
            if at not in places:
                places[at] = await handler.assigned(at) or 0
                continue
            await handler.handle(at, batch(first, *taken, at=at) if taken else Batch((), first))
            places[at] = first + len(taken)
        except TransientError:
            if rng.random() < 0.5:
                handler, places = bench.handler(), {}
    assert_nothing_goes_back(bench.bus)
    assert_records_say(bench.bus, [*logs[PARTITION], *logs[FORWARDED]])
