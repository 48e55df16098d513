from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
from redis.asyncio import Redis

from schemas.catalogue import Appended
from shared.errors import FencedError, PoisonError, RewindError, TransientError
from shared.generations.homes import read_older
from shared.records import Applied, Batch, Outgoing, Record
from tests import stamped

from .conftest import PARTITION, START, Bench, batch, change

pytestmark = pytest.mark.connected
Forget = Callable[[], Awaitable[None]]


async def test_a_product_becomes_a_complete_record(bench: Bench) -> None:
    handler = bench.handler()
    assert await handler.assigned(PARTITION) is None
    written = change("p", "upsert", 1, title="red lamp", price=5)
    assert await handler.handle(PARTITION, batch(0, written)) == Applied(1)
    (record,) = bench.bus.records
    assert (record.text, record.source.offset) == ("red lamp", 0)
    assert (record.source.topic, record.source.partition) == PARTITION
    assert record.document.fields == {"title": "red lamp", "price": 5}
    assert record.event_time == written.event_time
    stored = np.frombuffer(record.vectors, "<f2").reshape(len(record.passages), record.dimensions)
    np.testing.assert_allclose(stored, bench.encoder.encode_documents(["red lamp"]), atol=1e-3)


async def test_a_price_change_costs_no_inference(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="red lamp", price=5)))
    await handler.handle(PARTITION, batch(1, change("p", "patch", 2, price=4)))
    first, second = bench.bus.records
    assert bench.encoder.embedded == 1
    assert second.document.fields["price"] == 4
    assert (second.vectors, second.passages, second.text) == (first.vectors, first.passages, first.text)


async def test_redelivery_publishes_and_embeds_nothing(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(5)]
    assert await handler.handle(PARTITION, batch(0, *changes)) == Applied(5)
    assert await handler.handle(PARTITION, batch(5, *changes)) == Applied(0, 5)
    assert (len(bench.bus.log), bench.encoder.embedded) == (5, 5)
    assert await bench.handler().assigned(PARTITION) == 10


async def test_products_whose_versions_went_back_are_remembered_until_their_line_catches_up(
    bench: Bench, namespace: str
) -> None:
    async def older() -> dict[str, dict[str, int]]:
        lines = await read_older(bench.redis, namespace, "g1", homes=1)
        return {
            line: {product_id: changes.number for product_id, changes in products.items()}
            for line, products in lines.items()
        }

    handler = bench.handler()
    await handler.assigned(PARTITION)
    lamp, sofa = change("lamp", "upsert", 5, title="lamp"), change("sofa", "upsert", 5, title="sofa")
    await handler.handle(PARTITION, batch(0, lamp, sofa))
    restored = [
        stamped.change("upsert", 3, product_id, appended=Appended(9, 0, 2), title="of before")
        for product_id in ("lamp", "sofa")
    ]
    assert await handler.handle(PARTITION, batch(2, *restored)) == Applied(0, 2, older=2)
    assert await older() == {"version": {"lamp": 1, "sofa": 1}}
    again = bench.handler()
    assert await again.assigned(PARTITION) == 4
    assert await again.handle(PARTITION, batch(4, restored[0], sofa)) == Applied(0, 2, older=1)
    assert await older() == {"version": {"lamp": 2}}


async def test_several_changes_of_one_product_are_one_record(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    done = await handler.handle(
        PARTITION,
        batch(
            4,
            change("p", "patch", 3, price=9),
            change("p", "upsert", 1, title="lamp", price=1),
            change("p", "upsert", 1, title="lamp", price=1),
        ),
    )
    (record,) = bench.bus.records
    assert done == Applied(2, 1)
    assert (record.document.fields, record.source.offset) == ({"title": "lamp", "price": 9}, 5)


async def test_a_delete_is_a_record_without_vectors_and_stays_deleted(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp")))
    await handler.handle(PARTITION, batch(1, change("p", "delete", 2)))
    await handler.handle(
        PARTITION, batch(2, change("p", "patch", 3, price=1), change("p", "upsert", 1, title="x"))
    )
    assert [record.deleted for record in bench.bus.records] == [False, True, True]
    assert bench.bus.records[-1].vectors == b""
    await handler.handle(PARTITION, batch(4, change("p", "upsert", 9, title="lamp")))
    assert not bench.bus.records[-1].deleted
    assert bench.bus.records[-1].vectors


async def test_a_product_without_text_has_a_record_without_passages(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, price=1)))
    (record,) = bench.bus.records
    assert (record.deleted, record.passages, record.vectors, bench.encoder.embedded) == (False, (), b"", 0)


async def test_a_long_text_has_overlapping_passages(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="red lamp " * 300)))
    (record,) = bench.bus.records
    first, second, *_ = record.passages
    assert len(record.passages) == 3
    assert second.start < first.end < second.end
    assert len(record.vectors) == 3 * record.dimensions * 2


async def test_equal_texts_are_embedded_once(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, *(change(f"p{n}", "upsert", 1, title="lamp") for n in range(9))))
    assert bench.encoder.embedded == 1
    assert len({record.vectors for record in bench.bus.records}) == 1


@pytest.mark.parametrize("published", [set(), {0, 1}, {2}, {0, 1, 2}])
async def test_a_crash_before_the_commit_repeats_the_batch_with_the_same_result(
    bench: Bench, published: set[int]
) -> None:
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(3)]
    handler = bench.handler()
    await handler.assigned(PARTITION)
    bench.bus.survive = set(published)
    with pytest.raises(TransientError):
        await handler.handle(PARTITION, batch(0, *changes))
    assert len(bench.bus.log) == len(published)
    successor = bench.handler()
    assert not await successor.assigned(PARTITION)
    done = await successor.handle(PARTITION, batch(0, *changes))
    assert done == Applied(3 - len(published), len(published))
    assert {key: record.text for key, record in bench.bus.latest.items()} == {
        f"p{number}": f"lamp {number}" for number in range(3)
    }
    assert await successor.handle(PARTITION, batch(3, *changes)) == Applied(0, 3)


async def test_a_price_change_does_not_wait_for_the_texts_of_its_batch(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("known", "upsert", 1, title="red lamp", price=5)))
    await handler.handle(
        PARTITION, batch(1, change("new", "upsert", 1, title="sofa"), change("known", "patch", 2, price=4))
    )
    assert [record.product_id for record in bench.bus.records] == ["known", "known", "new"]
    assert await bench.handler().assigned(PARTITION) == 3


async def test_many_texts_are_done_in_steps_and_a_failure_repeats_only_what_is_left(bench: Bench) -> None:
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(700)]
    handler = bench.handler()
    await handler.assigned(PARTITION)

    async def fail_the_second(messages: Sequence[Outgoing]) -> None:
        if bench.bus.log:
            del bench.bus.publish
            raise TransientError("the broker went away")
        bench.bus.log += messages

    bench.bus.publish = fail_the_second
    with pytest.raises(TransientError):
        await handler.handle(PARTITION, batch(0, *changes))
    first = len(bench.bus.log)
    assert 0 < first < 256
    assert await handler.handle(PARTITION, batch(0, *changes)) == Applied(700 - first, first)
    assert len(bench.bus.log) == 700
    assert await bench.handler().assigned(PARTITION) == 700


async def test_a_price_waits_for_none_of_the_texts_of_its_batch(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("known", "upsert", 1, title="chair")))
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(300)]
    changes.append(change("known", "patch", 2, price=4))
    assert await handler.handle(PARTITION, batch(1, *changes)) == Applied(301)
    assert [record.product_id for record in bench.bus.records][:2] == ["known", "known"]
    assert len(bench.bus.log) == 302
    assert await bench.handler().assigned(PARTITION) == 302


async def test_the_offset_of_a_step_is_that_of_the_first_change_that_is_left(bench: Bench) -> None:
    """A product whose texts are embedded in a later step holds the offset back, whatever lies around it."""
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("known", "upsert", 5, title="chair")))
    changes = [
        change("known", "patch", 1, price=1),
        *(change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(700)),
        change("p3", "patch", 2, price=3),
        change("known", "upsert", 6, title="chair", price=4),
    ]
    handler.end_soon()
    with pytest.raises(TransientError, match="next owner"):
        await handler.handle(PARTITION, batch(1, *changes))
    stored = {record.product_id for record in bench.bus.records}
    following = await bench.handler().assigned(PARTITION)
    assert following is not None
    assert changes[following - 1].product_id not in stored
    assert {one.product_id for one in changes[: following - 1]} <= stored
    rest = batch(following, *changes[following - 1 :])
    successor = bench.handler()
    await successor.assigned(PARTITION)
    await successor.handle(PARTITION, rest)
    assert bench.bus.latest["p3"].document.fields == {"title": "lamp 3", "price": 3}
    assert bench.bus.latest["known"].document.fields == {"title": "chair", "price": 4}
    assert len(bench.bus.latest) == 701
    assert bench.encoder.embedded == 701


async def test_one_who_is_to_end_leaves_the_other_steps_to_the_next_owner(bench: Bench) -> None:
    changes = [change(f"p{number}", "upsert", 1, title=f"lamp {number}") for number in range(700)]
    handler = bench.handler()
    await handler.assigned(PARTITION)
    handler.end_soon()
    with pytest.raises(TransientError, match="next owner"):
        await handler.handle(PARTITION, batch(0, *changes))
    first = len(bench.bus.log)
    assert 0 < first < 256
    assert await bench.handler().assigned(PARTITION) == first


async def test_a_fenced_handler_publishes_nothing(bench: Bench) -> None:
    zombie = bench.handler()
    await zombie.assigned(PARTITION)
    await bench.handler().assigned(PARTITION)
    with pytest.raises(FencedError):
        await zombie.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp")))
    assert bench.bus.log == []


async def test_an_empty_batch_moves_the_offset(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    assert await handler.handle(PARTITION, Batch((), 12)) == Applied(0)
    assert await bench.handler().assigned(PARTITION) == 12


async def test_a_lost_redis_is_rebuilt_from_the_records(bench: Bench, forget: Forget) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp", price=1)))
    await handler.handle(
        PARTITION, batch(1, change("p", "patch", 5, price=2), change("q", "upsert", 1, title="rug"))
    )
    await handler.handle(PARTITION, batch(3, change("q", "delete", 2)))
    await forget()
    successor = bench.handler()
    assert await successor.assigned(PARTITION) == 3
    replayed = await successor.handle(
        PARTITION, batch(3, change("q", "delete", 2), change("p", "patch", 3, price=9, brand="Acme"))
    )
    assert replayed == Applied(1, 1)
    latest = bench.bus.latest["p"]
    assert latest.document.fields == {"title": "lamp", "price": 2, "brand": "Acme"}
    assert latest.epoch > bench.bus.records[0].epoch
    assert bench.bus.latest["q"].deleted


async def test_when_redis_comes_back_older_what_is_published_then_outranks_what_was(
    bench: Bench, redis: Redis, namespace: str
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp", price=1)))
    backup = {key: await redis.dump(key) async for key in redis.scan_iter(f"{namespace}:*")}
    for owner in range(3):  # each raises the epoch
        handler = bench.handler()
        await handler.assigned(PARTITION)
        await handler.handle(PARTITION, batch(1 + owner, change("p", "patch", 2 + owner, price=2 + owner)))
    for key, value in backup.items():
        await redis.restore(key, 0, value, replace=True)
    with pytest.raises(RewindError, match="older data"):
        await handler.handle(PARTITION, batch(4, change("p", "patch", 9, price=9)))
    assert await handler.assigned(PARTITION) == 1
    await handler.handle(PARTITION, batch(1, *(change("p", "patch", 2 + n, price=2 + n) for n in range(3))))
    await handler.handle(PARTITION, batch(4, change("p", "patch", 9, price=9)))
    assert bench.bus.latest["p"].document.fields["price"] == 9
    assert bench.bus.latest["p"] == bench.bus.records[-1]


async def test_a_batch_published_in_part_before_redis_was_lost_is_read_again(
    bench: Bench, forget: Forget
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("a", "upsert", 1, title="a")))
    bench.bus.survive = {1}
    second = batch(1, change("b", "upsert", 1, title="b"), change("c", "upsert", 1, title="c"))
    with pytest.raises(TransientError):
        await handler.handle(PARTITION, second)
    await forget()
    assert [record.source.offset for record in bench.bus.records] == [0, 2]
    assert await bench.handler().assigned(PARTITION) == 1


async def test_redis_emptied_under_a_running_handler_is_rebuilt_and_nothing_is_lost(
    bench: Bench, forget: Forget
) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp", price=1)))
    await forget()
    following = batch(1, change("p", "patch", 2, price=2))
    with pytest.raises(RewindError):
        await handler.handle(PARTITION, following)
    assert await handler.assigned(PARTITION) is None
    assert await handler.handle(PARTITION, following) == Applied(1)
    assert bench.bus.latest["p"].document.fields == {"title": "lamp", "price": 2}
    assert bench.encoder.embedded == 1


async def test_another_model_embeds_anew(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    await handler.handle(PARTITION, batch(0, change("p", "upsert", 1, title="lamp", price=1)))
    bench.encoder.fingerprint = "0123456789abcdef"
    successor = bench.handler()
    await successor.assigned(PARTITION)
    await successor.handle(PARTITION, batch(1, change("p", "patch", 2, price=2)))
    assert bench.encoder.embedded == 2
    assert bench.bus.records[-1].fingerprint == "0123456789abcdef"


async def test_patches_that_make_a_product_too_large_are_poison(bench: Bench) -> None:
    handler = bench.handler()
    await handler.assigned(PARTITION)
    for number in range(8):
        await handler.handle(
            PARTITION, batch(number, change("p", "patch", 1, **{f"f{number}": "x" * 32_000}))
        )
    with pytest.raises(PoisonError, match=r"document\.too_large"):
        await handler.handle(PARTITION, batch(8, change("p", "patch", 1, last="x" * 32_000)))


async def test_an_event_from_the_future_is_clamped(bench: Bench) -> None:
    value = (
        b'{"product_id":"p","op":"upsert","version":1,'
        b'"event_time":"2999-01-01T00:00:00Z","fields":{"title":"a"}}'
    )
    decoded = bench.handler().decode(Record(PARTITION, 0, b"p", value, START))
    assert decoded.event_time.year < 2999


async def test_what_cannot_be_read_is_poison_with_its_reason(bench: Bench) -> None:
    with pytest.raises(PoisonError) as caught:
        bench.handler().decode(Record(PARTITION, 0, b"p", b"{", START))
    assert caught.value.reason == "json.invalid"
