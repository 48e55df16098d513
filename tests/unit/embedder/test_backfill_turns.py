"""A backfill leaves the event loop to others after each product, and ends with a whole step."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from services.embedder.backfill import LONGEST_REST, LOOK_SECONDS, WITHOUT_PAUSE, Backfill, give_way
from services.embedder.domain.pace import EmbeddingPace
from services.embedder.domain.plan import EmbeddingRecipe, Planned
from services.embedder.domain.recovery import Published
from services.embedder.domain.state import StoredProduct
from services.embedder.home import HomeState, Write
from shared.encoder.passages import Cut, PassageCutter
from shared.testing.encoder import FakeEncoder
from tests.unit.embedder.samples import RECIPE, record

HOME = HomeState(0, {}, {})
LONG = "word " * 1000
"""A text that is a step of its own."""


class CountingCutter(PassageCutter):
    """Knows how many texts it cut."""

    def __init__(self) -> None:
        super().__init__(Cut(size=2000, overlap=1, most=3), FakeEncoder().count_tokens, longest=2000)
        self.cuts = 0

    def __call__(self, text: str):
        self.cuts += 1
        return super().__call__(text)


@dataclass
class Source:
    """Records of one home, all in memory: nothing that reads them ever waits."""

    published: list[Published]
    given: int = 0

    async def end(self, number: int) -> int:
        return len(self.published)

    async def scan(self, number: int, begin: int = 0) -> AsyncIterator[Published]:
        for one in self.published:
            self.given += 1
            yield one


@dataclass
class Store:
    """Remembers the products of each step."""

    steps: list[list[str]] = field(default_factory=list)

    async def read(self, home: HomeState, product_ids: Sequence[str]) -> dict[str, StoredProduct]:
        return {}

    async def restore(self, home: HomeState, writes: Sequence[Write]) -> None:
        self.steps.append([write.product_id for write in writes])


@dataclass
class Writer:
    """Embeds nothing; from step `gated` on it waits for the gate."""

    recipe: EmbeddingRecipe
    pace: EmbeddingPace = field(default_factory=EmbeddingPace)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    gated: int = 1_000_000
    calls: int = 0

    async def send(self, home: HomeState, items: Sequence[Planned], *, replayed: bool) -> list[Write]:
        assert replayed
        self.calls += 1
        if self.calls >= self.gated:
            self.entered.set()
            await self.gate.wait()
        return [Write(item.product_id, StoredProduct(item.touched.document), embedded=True) for item in items]


def source(count: int, title: str) -> Source:
    records = (record(offset, product_id=f"p{offset}", title=f"{title} {offset}") for offset in range(count))
    return Source([Published(one.encode(), offset=offset) for offset, one in enumerate(records)])


@pytest.fixture
def cutter() -> CountingCutter:
    return CountingCutter()


@pytest.fixture
def writer(cutter: CountingCutter) -> Writer:
    return Writer(replace(RECIPE, cut=cutter, fingerprint="f" * 16))


async def test_others_have_their_turn_after_each_product_and_after_a_few_records(
    writer: Writer, cutter: CountingCutter
) -> None:
    log = source(300, "lamp")
    backfill = asyncio.create_task(Backfill(log, Store(), writer).run(HOME))  # type: ignore[arg-type]  # fakes
    turns: list[tuple[int, int]] = [(0, 0)]
    while not backfill.done():
        await asyncio.sleep(0)
        turns.append((cutter.cuts, log.given))
    await backfill
    steps = [(later[0] - sooner[0], later[1] - sooner[1]) for sooner, later in pairwise(turns)]
    assert cutter.cuts == 300
    assert max(cut for cut, _ in steps) == 1
    assert max(read for _, read in steps) <= WITHOUT_PAUSE + 64  # those that make a portion are read first


async def test_what_is_told_to_end_ends_with_the_step_in_hand_whole(writer: Writer) -> None:
    log, store, writer.gated = source(10, LONG), Store(), 3
    backfill = asyncio.create_task(Backfill(log, store, writer).run(HOME))  # type: ignore[arg-type]  # fakes
    await writer.entered.wait()
    backfill.cancel()
    await asyncio.sleep(0)
    assert not backfill.done()
    writer.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await backfill
    assert store.steps == [["p0"], ["p1"], ["p2"]]


async def test_what_is_told_to_end_once_more_does_not_wait_for_the_step(writer: Writer) -> None:
    log, store, writer.gated = source(10, LONG), Store(), 2
    backfill = asyncio.create_task(Backfill(log, store, writer).run(HOME))  # type: ignore[arg-type]  # fakes
    await writer.entered.wait()
    for _ in range(2):
        backfill.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await backfill
    writer.gate.set()
    await asyncio.sleep(0)
    assert store.steps == [["p0"]]


async def test_a_home_of_many_records_is_taken_over_in_parts(writer: Writer) -> None:
    log, store = source(100, "lamp"), Store()
    await Backfill(log, store, writer, surveyed=30).run(HOME)  # type: ignore[arg-type]  # fakes
    assert sorted(product for step in store.steps for product in step) == sorted(f"p{n}" for n in range(100))
    assert log.given == 4 * 2 * 100


@pytest.mark.parametrize(("late", "rest"), [(0.0, 0.0), (0.03, 0.3), (5.0, LONGEST_REST)])
async def test_after_a_step_it_rests_by_how_late_the_event_loop_is(late: float, rest: float) -> None:
    now, slept = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + late
        slept.append(seconds)

    await give_way(lambda: now, sleep)
    assert slept == [LOOK_SECONDS, pytest.approx(rest)]


async def test_it_rests_after_each_step(writer: Writer) -> None:
    log, store = source(5, LONG), Store()
    steps_at_rest = []

    async def rest() -> None:
        steps_at_rest.append(len(store.steps))

    await Backfill(log, store, writer, rest=rest).run(HOME)  # type: ignore[arg-type]  # fakes
    assert steps_at_rest == [1, 2, 3, 4, 5]
