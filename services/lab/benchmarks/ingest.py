"""`headrace bench ingest`: documents, price changes and re-delivery, from the topic to the shards."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice

from rich.progress import Progress, TaskID

from headrace.search_api import SearchClient
from schemas.catalogue import ProductChange
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.arrival import last_of_each_partition
from services.lab.benchmarks import freshness, harness
from services.lab.benchmarks.embedding import bare_seconds, passages, plain_rate
from services.lab.benchmarks.harness import REDIS, Gauges, Moment, Totals, handled
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import ShopProduct
from shared.clock import SystemClock
from shared.encoder.loading import load_encoder
from shared.errors import FatalError
from shared.infrastructure.stack import Stack
from shared.ports import Encoder, outgoing

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
RECORDS_GOAL = 10_000.0
"""The same as far as the topic of records."""
LEAST_SHOWN = 0.01
"""CPU-seconds; stages of less are not told."""
INGEST = ("embedder", "shards", REDIS)
"""The processes whose CPU an ingested message uses, besides the broker's."""
TO_RECORDS = ("embedder", REDIS)


@dataclass(frozen=True, slots=True)
class Phase:
    """What one stream of changes took, and what it made the workers do."""

    messages: int
    seconds: float
    cpu: dict[str, float]
    texts: float
    """Passages that went through the model."""
    records: float
    """Index and attribute records written."""
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """CPU-seconds by worker and stage."""
    cpu_to_records: Mapping[str, float] = field(default_factory=dict)
    """CPU-seconds by process until all records were written; the shards may go on."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Messages a CPU-second of all processes that take part."""
        return self.messages / max(sum(self.cpu[name] for name in INGEST), 1e-9)

    @property
    def records_rate(self) -> float:
        """Messages a CPU-second of those processes that bring them to the topic of records."""
        return self.messages / max(sum(self.cpu_to_records[name] for name in TO_RECORDS), 1e-9)

    @property
    def cpu_note(self) -> str:
        """CPU-seconds by process, and in it by stage."""
        return "CPU-seconds: " + ", ".join(map(self._cpu_of, INGEST))

    def _cpu_of(self, process: str) -> str:
        stages = self.stages.get(process, {})
        parts = ", ".join(f"{name} {used:.2f}" for name, used in stages.items() if used >= LEAST_SHOWN)
        return f"{process} {self.cpu[process]:.1f}" + (f" ({parts})" if parts else "")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The same texts without us around them; seconds are of the best run."""

    bare_seconds: float
    plain: float
    """Texts a second of plain `model.encode`."""
    texts: int
    bare_cpu: float = 0.0
    """CPU-seconds of the model alone."""


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
        began = harness.write(
            self._settings, messages, lambda count: self._progress.update(sent, completed=count)
        )
        self._reached("embedder", before, len(messages), done)
        written = self._gauges.now()
        records = written.count_since(before, "embedder", PUBLISHED)
        self._reached("shards", before, records)
        after = self._gauges.now()
        return Phase(
            len(messages),
            after.time - began,
            after.used_since(before),
            after.count_since(before, "embedder", EMBEDDED),
            records,
            after.stages_since(before),
            written.used_since(before),
        )

    def _reached(self, worker: str, before: Moment, messages: float, bar: TaskID | None = None) -> None:
        start = handled(before.counted[worker])

        def show(counted: Totals) -> None:
            if bar is not None:
                self._progress.update(bar, completed=handled(counted) - start)

        self._gauges.wait(worker, lambda counted: handled(counted) - start >= messages, show)


def measure(
    stack: Stack, products: Sequence[ShopProduct], *, lives: int, progress: Progress
) -> list[ReportRow]:
    """Return every row of the report; raises `FatalError` when something was embedded that must not be."""
    settings = EmbedderSettings.load(data_dir=stack.settings.data_dir)
    gauges = Gauges(stack)
    ingest, model = Ingest(stack, gauges, progress), load_encoder(settings.model)
    texts = passages(products, settings.embedder, model)
    version = int(SystemClock().now().timestamp() * 1000)
    try:
        ingest.run("warm-up", upserts([_renamed(product) for product in products[:WARM]], 1))
        bare = [_bare_run(model, texts)]
        upserted = upserts(products, version)
        documents = ingest.run("documents", upserted)
        bare.append(_bare_run(model, texts))  # the machine may have been busier before
        _all_searchable(stack, products)
        prices = ingest.run("price changes", price_changes(products, version + 1))
        redelivery = ingest.run("re-delivery", upserted)
        whole = ingest.run("prices written whole", upserts(dearer(products), version + 1 + PRICE_ROUNDS + 1))
    finally:
        gauges.close()
    refuse_inference("price changes", prices)
    refuse_inference("re-delivery", redelivery)
    refuse_inference("prices written whole", whole)
    step = max(1, len(texts) // PLAIN_TEXTS)
    seconds, cpu = map(min, zip(*bare, strict=True))
    bounds = Bounds(seconds, plain_rate(settings.model, texts[::step]), len(texts), cpu)
    rows = throughput(documents, prices, redelivery, bounds)
    rows.append(
        ReportRow("prices written whole, to records", whole.records_rate, "1/CPU-s", note=whole.cpu_note)
    )
    return rows + _freshness(stack, products, documents.rate / 2, lives=lives, progress=progress)


def throughput(documents: Phase, prices: Phase, redelivery: Phase, bounds: Bounds) -> list[ReportRow]:
    """Return the rows of what was streamed."""
    bare = documents.messages / bounds.bare_seconds
    plain = bounds.plain * documents.messages / bounds.texts
    embedded = "{:,.0f} texts embedded; {}"
    beyond = sum(documents.cpu[name] for name in INGEST) - bounds.bare_cpu
    return [
        ReportRow(
            "documents", documents.rate, "1/s", bare, f"bound: our encoder alone; {documents.cpu_note}"
        ),
        ReportRow(
            "documents, CPU beyond the model",
            beyond / documents.messages * 1000,
            "ms",
            note=f"a document; the model alone used {bounds.bare_cpu:.1f} CPU-seconds",
        ),
        ReportRow("documents, peer", documents.rate, "1/s", plain, "bound: model.encode, fp32, batch 32"),
        ReportRow("model.encode", bounds.plain, "1/s", note="texts; sentence-transformers, fp32, batch 32"),
        ReportRow(
            "price changes",
            prices.cpu_rate,
            "1/CPU-s",
            PRICE_GOAL,
            f"bound: the goal; {embedded.format(prices.texts, prices.cpu_note)}",
        ),
        ReportRow(
            "price changes to records",
            prices.records_rate,
            "1/CPU-s",
            RECORDS_GOAL,
            f"bound: the goal; {' and '.join(TO_RECORDS)}; {prices.records:,.0f} records",
        ),
        ReportRow("price changes searchable", prices.rate, "1/s"),
        ReportRow(
            "re-delivery", redelivery.rate, "1/s", note=embedded.format(redelivery.texts, redelivery.cpu_note)
        ),
        ReportRow(
            "re-delivery, texts embedded", redelivery.texts, note=f"{redelivery.records:,.0f} records written"
        ),
    ]


def refuse_inference(name: str, phase: Phase) -> None:
    """Raise `FatalError` when the phase used the model."""
    if phase.texts:
        raise FatalError(f"{name}: {phase.texts:,.0f} texts were embedded, and none should have been")


def upserts(products: Sequence[ShopProduct], version: int) -> list[ProductChange]:
    """Return the messages that write the products whole."""
    now = SystemClock().now()
    return [product.change(version, now) for product in products]


def price_changes(products: Sequence[ShopProduct], version: int) -> list[ProductChange]:
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


def dearer(products: Sequence[ShopProduct]) -> list[ShopProduct]:
    """Return the products, each at another price than ever before."""
    return [
        product.model_copy(update={"price": (product.price or 1.0) + PRICE_ROUNDS + 1})
        for product in products
    ]


def more_products(products: Sequence[ShopProduct], count: int) -> list[ShopProduct]:
    """Return that many new products with texts of their own, made from these in turn."""
    return [
        product.model_copy(update={"id": f"load-{number}", "title": f"{product.title} {number}"})
        for number, product in enumerate(islice(cycle(products), count))
    ]


def _bare_run(model: Encoder, texts: Sequence[str]) -> tuple[float, float]:
    """Return the seconds, and about the CPU-seconds, that the model needs for the texts by itself."""
    began = time.process_time()
    seconds = bare_seconds(model, texts)
    warm = min(WARM, len(texts))  # which it embeds once more
    return seconds, (time.process_time() - began) * len(texts) / (len(texts) + warm)


def _renamed(product: ShopProduct) -> ShopProduct:
    return product.model_copy(update={"id": f"warm-{product.id}"[:128], "title": f"Warm {product.title}"})


def _all_searchable(stack: Stack, products: Sequence[ShopProduct]) -> None:
    """Raise `FatalError` unless the search API has the last product of each partition, and some others."""
    last = last_of_each_partition(products, stack.settings.partitions)
    sampled = [product.id for product in products[:: max(1, len(products) // SAMPLE)]]
    with SearchClient(stack.url("search")) as client:
        absent = [product for product in (*last, *sampled) if client.product(product) is None]
    if absent:
        raise FatalError(f"{len(absent)} products are not searchable, such as {absent[0]}")


def _freshness(
    stack: Stack, products: Sequence[ShopProduct], half: float, *, lives: int, progress: Progress
) -> list[ReportRow]:
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
    load = [outgoing(change) for change in upserts(more_products(products, int(half * LOAD_SECONDS)), 1)]
    busy = asyncio.run(live(load=load, rate=half))
    progress.update(bar, completed=2 * lives)
    return idle.rows() + busy.rows(" at half load")
