"""`headrace bench ingest`: documents, price changes and re-delivery, from the topic to the shards."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rich.progress import Progress, TaskID

from schemas.catalogue import ProductChange
from services.cli.benchmarks import freshness, ground
from services.cli.benchmarks.embedding import bare_seconds, passages, plain_rate
from services.cli.benchmarks.ground import REDIS, Gauges, Moment, Totals, handled
from services.cli.report import Row
from services.cli.search_client import SearchClient
from services.cli.simulation.catalogue import Product
from services.embedder.settings import Settings as EmbedderSettings
from shared import encoder
from shared.clock import SystemClock
from shared.errors import FatalError
from shared.infrastructure.stack import Stack
from shared.partitioning import partition_of
from shared.ports import outgoing

WORKERS = ("shards", "embedder", "search")
EMBEDDED = "headrace_texts_embedded_total"
PUBLISHED = "headrace_records_published_total"
PRICE_ROUNDS = 3
WARM = 64
SAMPLE = 40
LOAD_SECONDS = 20
PLAIN_TEXTS = 2000
"""Of more texts, plain `model.encode` gets a sample: it is slow."""
PRICE_GOAL = 5000.0
"""Price changes a CPU-second."""
INGEST = ("embedder", "shards", REDIS)
"""The processes whose CPU an ingested message uses, besides the broker's."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What one stream of changes took, and what it made the workers do."""

    messages: int
    seconds: float
    cpu: dict[str, float]
    texts: float
    """Passages that went through the model."""
    records: float
    """Index records written."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Messages a CPU-second of all processes that take part."""
        return self.messages / max(sum(self.cpu[name] for name in INGEST), 1e-9)

    @property
    def cpu_note(self) -> str:
        """CPU-seconds by process."""
        return "CPU-seconds: " + ", ".join(f"{name} {self.cpu[name]:.1f}" for name in INGEST)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The same texts without us around them; seconds are of the best run."""

    bare_seconds: float
    plain: float
    """Texts a second of plain `model.encode`."""
    texts: int


class Ingest:
    """Streams changes through one installation and times them."""

    def __init__(self, stack: Stack, gauges: Gauges, progress: Progress) -> None:
        self._settings = stack.settings
        self._gauges = gauges
        self._progress = progress

    def run(self, name: str, changes: Sequence[ProductChange]) -> Phase:
        """Write the changes, and return when the shards have applied all that came of them."""
        messages = [outgoing(change) for change in changes]
        sent = self._progress.add_task(f"{name}, written", total=len(messages))
        done = self._progress.add_task(f"{name}, searchable", total=len(messages))
        before = self._gauges.now()
        began = ground.write(
            self._settings, messages, lambda count: self._progress.update(sent, completed=count)
        )
        self._reached("embedder", before, len(messages), done)
        records = self._gauges.now().count_since(before, "embedder", PUBLISHED)
        self._reached("shards", before, records)
        after = self._gauges.now()
        return Phase(
            len(messages),
            after.time - began,
            after.used_since(before),
            after.count_since(before, "embedder", EMBEDDED),
            records,
        )

    def _reached(self, worker: str, before: Moment, messages: float, bar: TaskID | None = None) -> None:
        start = handled(before.counted[worker])

        def show(counted: Totals) -> None:
            if bar is not None:
                self._progress.update(bar, completed=handled(counted) - start)

        self._gauges.wait(worker, lambda counted: handled(counted) - start >= messages, show)


def measure(stack: Stack, products: Sequence[Product], *, lives: int, progress: Progress) -> list[Row]:
    """Return every row of the report; raises `FatalError` when something was embedded that must not be."""
    settings = EmbedderSettings.load(data_dir=stack.settings.data_dir)
    gauges = Gauges(stack)
    ingest, model = Ingest(stack, gauges, progress), encoder.load(settings.model)
    texts = passages(products, settings.embedder)
    version = int(SystemClock().now().timestamp() * 1000)
    try:
        ingest.run("warm-up", upserts([_renamed(product) for product in products[:WARM]], 1))
        bare = [bare_seconds(model, texts)]
        whole = upserts(products, version)
        documents = ingest.run("documents", whole)
        bare.append(bare_seconds(model, texts))  # the machine may have been busier before
        _all_searchable(stack, products)
        prices = ingest.run("price changes", price_changes(products, version + 1))
        again = ingest.run("re-delivery", whole)
    finally:
        gauges.close()
    refuse_inference("price changes", prices)
    refuse_inference("re-delivery", again)
    step = max(1, len(texts) // PLAIN_TEXTS)
    bounds = Bounds(min(bare), plain_rate(settings.model, texts[::step]), len(texts))
    rows = throughput(documents, prices, again, bounds)
    return rows + _freshness(stack, products, documents.rate / 2, lives=lives, progress=progress)


def throughput(documents: Phase, prices: Phase, again: Phase, bounds: Bounds) -> list[Row]:
    """Return the rows of what was streamed."""
    bare = documents.messages / bounds.bare_seconds
    plain = bounds.plain * documents.messages / bounds.texts
    embedded = "{:,.0f} texts embedded; {}"
    return [
        Row("documents", documents.rate, "1/s", bare, f"bound: our encoder alone; {documents.cpu_note}"),
        Row("documents, peer", documents.rate, "1/s", plain, "bound: model.encode, fp32, batch 32"),
        Row("model.encode", bounds.plain, "1/s", note="texts; sentence-transformers, fp32, batch 32"),
        Row("price changes", prices.rate, "1/s", note=embedded.format(prices.texts, prices.cpu_note)),
        Row("price changes per CPU-second", prices.cpu_rate, "1/s", PRICE_GOAL, "bound: the goal"),
        Row("re-delivery", again.rate, "1/s", note=embedded.format(again.texts, again.cpu_note)),
        Row("re-delivery, texts embedded", again.texts, note=f"{again.records:,.0f} records written"),
    ]


def refuse_inference(name: str, phase: Phase) -> None:
    """Raise `FatalError` when the phase used the model."""
    if phase.texts:
        raise FatalError(f"{name}: {phase.texts:,.0f} texts were embedded, and none should have been")


def upserts(products: Sequence[Product], version: int) -> list[ProductChange]:
    """Return the messages that write the products whole."""
    now = SystemClock().now()
    return [product.change(version, now) for product in products]


def price_changes(products: Sequence[Product], version: int) -> list[ProductChange]:
    """Return patches of nothing but the price, some rounds over all products, each round dearer."""
    now = SystemClock().now()
    return [
        ProductChange(
            product_id=product.id,
            op="patch",
            version=version + turn,
            event_time=now,
            fields={"price": round((product.price or 1.0) + turn, 2)},
        )
        for turn in range(1, PRICE_ROUNDS + 1)
        for product in products
    ]


def _renamed(product: Product) -> Product:
    return product.model_copy(update={"id": f"warm-{product.id}"[:128], "title": f"Warm {product.title}"})


def _all_searchable(stack: Stack, products: Sequence[Product]) -> None:
    """Raise `FatalError` unless the search API has the last product of each partition, and some others."""
    last = {partition_of(each.id.encode(), stack.settings.partitions): each.id for each in products}
    some = [each.id for each in products[:: max(1, len(products) // SAMPLE)]]
    with SearchClient(stack.url("search")) as client:
        missing = [each for each in (*last.values(), *some) if client.product(each) is None]
    if missing:
        raise FatalError(f"{len(missing)} products are not searchable, such as {missing[0]}")


def _freshness(
    stack: Stack, products: Sequence[Product], half: float, *, lives: int, progress: Progress
) -> list[Row]:
    """Return how soon single changes are seen, on an idle system and at half load."""
    if not lives:
        return []
    titles = [product.title for product in products]
    bar = progress.add_task("freshness", total=2 * lives)
    live = partial(
        freshness.measure,
        stack.settings,
        stack.url("search"),
        titles,
        count=lives,
        done=lambda: progress.advance(bar),
    )
    idle = asyncio.run(live())
    wanted = range(int(half * LOAD_SECONDS))
    load = [
        product.model_copy(update={"id": f"load-{number}", "title": f"{product.title} {number}"})
        for number, product in ((each, products[each % len(products)]) for each in wanted)
    ]
    busy = asyncio.run(live(load=[outgoing(each) for each in upserts(load, 1)], rate=half))
    progress.update(bar, completed=2 * lives)
    return idle.rows() + busy.rows(" at half load")
