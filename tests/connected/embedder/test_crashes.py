"""Whatever crashes when, the records say in the end what an offline merge of all changes says."""

from collections.abc import Awaitable, Callable
from functools import reduce
from random import Random

import pytest

from schemas.catalogue import Document, ProductChange
from services.embedder.domain.state import pack_document
from services.embedder.handler import EmbedderHandler
from shared.documents import EMPTY, merge
from shared.errors import TransientError
from shared.texts import build_text

from .conftest import PARTITION, Bench, batch, change

pytestmark = pytest.mark.connected
PRODUCTS = ("a", "b", "c", "d")


def random_change(rng: Random) -> ProductChange:
    op = rng.choices(["upsert", "patch", "delete"], [5, 4, 1])[0]
    names = rng.sample(["title", "brand", "price"], rng.randint(1, 3))
    fields = {} if op == "delete" else {name: f"{name} {rng.randint(0, 3)}" for name in names}
    return change(rng.choice(PRODUCTS), op, rng.randint(0, 12), **fields)


class Life:
    """Runs the handler over a log, with crashes and lost memory where the dice say."""

    def __init__(self, bench: Bench, rng: Random, forget: Callable[[], Awaitable[None]]) -> None:
        self.bench, self.rng, self.forget = bench, rng, forget
        self.handler: EmbedderHandler = bench.handler()
        self.position = 0

    async def restart(self) -> None:
        if self.rng.random() < 0.4:
            await self.forget()
        self.handler = self.bench.handler()
        resumed = await self.handler.assigned(PARTITION) or 0
        assert resumed <= self.position
        self.position = resumed

    async def run(self, log: list[ProductChange]) -> None:
        await self.handler.assigned(PARTITION)
        while self.position < len(log):
            size = self.rng.randint(1, 5)
            if self.rng.random() < 0.3:
                self.bench.bus.survive = {number for number in range(size) if self.rng.random() < 0.5}
            elif self.rng.random() < 0.1:
                await self.forget()
            try:
                taken = log[self.position : self.position + size]
                await self.handler.handle(PARTITION, batch(self.position, *taken))
                self.position += len(taken)
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
    for product_id in PRODUCTS:
        truth: Document = reduce(merge, (one for one in log if one.product_id == product_id), EMPTY)
        record = bench.bus.latest[product_id]
        assert sorted(record.document.fields.items()) == sorted(truth.fields.items())
        assert (record.document.upserted, record.document.deleted) == (truth.upserted, truth.deleted)
        assert record.document.versions == truth.versions
        assert record.text == (build_text(truth.fields, bench.settings.text) if truth.exists else "")
        assert len(pack_document(record.document)) == len(pack_document(truth))
