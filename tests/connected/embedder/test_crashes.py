"""Whatever crashes when, the records say in the end what an offline merge of all changes says."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest

from schemas.catalogue import StampedChange
from schemas.index import IndexRecord
from services.embedder.domain.state import StoredProduct, pack_product
from services.embedder.handler import EmbedderHandler
from shared.catalogue.documents import absorb
from shared.catalogue.texts import TEMPLATES, build_text
from shared.errors import RewindError, TransientError
from tests.stamped import merged

from .conftest import PARTITION, Bench, Bus, batch, change

pytestmark = pytest.mark.connected
PRODUCTS = ("a", "b", "c", "d")


def random_change(rng: Random, products: Sequence[str] = PRODUCTS) -> StampedChange:
    op = rng.choices(["upsert", "patch", "delete"], [5, 4, 1])[0]
    names = rng.sample(["title", "brand", "price"], rng.randint(1, 3))
    fields = {} if op == "delete" else {name: f"{name} {rng.randint(0, 3)}" for name in names}
    return change(rng.choice(products), op, rng.randint(0, 12), **fields)


def assert_records_say(bus: Bus, log: Sequence[StampedChange]) -> None:
    """Fail unless a shard keeps of each product what its changes amount to; of one never written, nothing."""
    for product_id in {one.product_id for one in log}:
        truth = merged(*(one for one in log if one.product_id == product_id))
        record = bus.latest.get(product_id)
        assert (record is None) == (truth.base < 0)
        if record is None:
            continue
        assert sorted(record.document.fields.items()) == sorted(truth.fields.items())
        assert record.document.exists == truth.exists
        assert record.document.revisions == truth.revisions
        assert record.text == (build_text(truth.fields, TEMPLATES) if truth.exists else "")
        assert len(pack_product(StoredProduct(record.document))) == len(pack_product(StoredProduct(truth)))


def assert_nothing_goes_back(bus: Bus) -> None:
    """Fail unless each record that a shard takes knows all that the one before it of its product did."""
    shown: dict[str, IndexRecord] = {}
    for record in bus.records:
        before = shown.get(record.product_id)
        if before is not None and record.epoch < before.epoch:  # the shards' own rule
            continue
        shown[record.product_id] = record
        if before is not None:
            assert absorb(record.document, before.document) is record.document, record.product_id


class Life:
    """Runs the handler over a log, with crashes and lost memory where the dice say."""

    def __init__(self, bench: Bench, rng: Random, forget: Callable[[], Awaitable[None]]) -> None:
        self.bench, self.rng, self.forget = bench, rng, forget
        self.handler: EmbedderHandler = bench.handler()
        self.position = 0
        self.lost = False

    async def restart(self) -> None:
        if self.rng.random() < 0.4:
            await self.forget()
        self.handler = self.bench.handler()
        await self.resume()

    async def resume(self) -> None:
        resumed = await self.handler.assigned(PARTITION) or 0
        assert resumed <= self.position
        self.position, self.lost = resumed, False

    async def run(self, log: list[StampedChange]) -> None:
        await self.handler.assigned(PARTITION)
        while self.position < len(log):
            size = self.rng.randint(1, 5)
            if self.rng.random() < 0.3:
                self.bench.bus.survive = {number for number in range(size) if self.rng.random() < 0.5}
            elif self.rng.random() < 0.1:
                await self.forget()
            try:
                if self.lost:
                    await self.resume()
                taken = log[self.position : self.position + size]
                await self.handler.handle(PARTITION, batch(self.position, *taken))
                self.position += len(taken)
            except RewindError:
                self.lost = True
            except TransientError:
                if self.rng.random() < 0.7:
                    await self.restart()
        self.bench.bus.survive = None


@pytest.mark.parametrize("seed", range(20))
async def test_crashes_and_lost_memory_change_nothing_in_the_end(
    bench: Bench, forget: Callable[[], Awaitable[None]], seed: int
) -> None:
    rng = Random(seed)
    log = [random_change(rng) for _ in range(60)]
    await Life(bench, rng, forget).run(log)
    assert_records_say(bench.bus, log)
    assert_nothing_goes_back(bench.bus)
