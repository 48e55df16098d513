"""Loading: what is there is not loaded again, what was written is waited for, a stall is an error."""

from types import SimpleNamespace

import pytest
from rich.progress import Progress

from services.lab.benchmarks import ingest, loading
from services.lab.benchmarks.harness import Moment
from services.lab.benchmarks.ingest import EMBEDDED, PUBLISHED, Ingest, Phase
from services.lab.simulation import shop
from shared.errors import FatalError, TransientError
from shared.settings import Settings
from tests.unit.lab.answers import product_answer, revisions

SALE = shop.sample(size=200, queries=5)


def owner(**fields) -> SimpleNamespace:
    usual = {"documents": 200, "next_offset": 0, "freshness_p50": None, "freshness_p99": None}
    return SimpleNamespace(**{**usual, **fields})


class Search:
    """A search API that has these products at a version; it is too busy for the first `busy` questions."""

    def __init__(self, version: int = 1, *, without: tuple[str, ...] = (), busy: int = 0) -> None:
        self.version, self.without, self.busy = version, without, busy
        self.asked: list[str] = []

    def product(self, product_id: str):
        self.asked.append(product_id)
        self.busy -= 1
        if self.busy >= 0:
            raise TransientError("busy")
        if product_id in self.without:
            return None
        return product_answer(product_id, revisions=revisions(self.version))


def load(search: Search, progress: Progress | None = None):
    return loading.load(Settings(partitions=2), search, SALE, progress=progress or Progress(disable=True))  # type: ignore[arg-type]


@pytest.fixture
def written(monkeypatch) -> list:
    """Take what is published instead of a broker."""
    changes: list = []

    async def publish(settings, stream) -> None:
        changes.extend(stream)

    monkeypatch.setattr(loading, "publish", publish)
    monkeypatch.setattr(loading, "POLL_SECONDS", 0.0)
    return changes


def test_a_catalogue_that_is_there_is_not_loaded_again(monkeypatch, written) -> None:
    monkeypatch.setattr(loading, "owners", lambda _: [owner(documents=150), owner(documents=60)])
    search = Search()
    loaded = load(search)
    assert (loaded.products, loaded.seconds, loaded.others) == (210, 0.0, 10)
    assert written == []
    assert len(search.asked) >= loading.SAMPLE, "products from all over it were looked for"


def test_as_many_products_of_another_catalogue_do_not_count(monkeypatch, written) -> None:
    monkeypatch.setattr(loading, "owners", lambda _: [owner(documents=500)])
    first = SALE.products[0].id
    search = Search(version=2**60, without=(first,))
    loaded = load(search)
    assert len(written) == loaded.products == len(SALE.products)
    assert loaded.others == 300


def test_what_was_written_is_waited_for_also_while_shards_are_busy(monkeypatch, written) -> None:
    monkeypatch.setattr(
        loading, "owners", lambda _: [owner(documents=100, freshness_p50=0.2, freshness_p99=0.9)]
    )
    progress = Progress(disable=True)
    loaded = load(Search(version=2**60, busy=7), progress)
    assert loaded.freshness == (0.2, 0.9)
    assert [task.completed for task in progress.tasks] == [len(SALE.products)] * 2


def test_a_load_that_makes_no_progress_names_the_product_it_waits_for(monkeypatch, written) -> None:
    monkeypatch.setattr(loading, "owners", lambda _: [owner(documents=0, next_offset=5)])
    monkeypatch.setattr(loading, "STALLED_SECONDS", 0.0)
    with pytest.raises(TransientError, match="nothing was indexed for 0 s; waiting for HR"):
        load(Search(version=0))


@pytest.mark.parametrize(
    ("owners", "freshness"),
    [
        ([owner()], None),
        ([owner(freshness_p50=0.1, freshness_p99=0.4)], (0.1, 0.4)),
        (
            [
                owner(freshness_p50=0.1, freshness_p99=0.4),
                owner(freshness_p50=0.3, freshness_p99=0.2),
                owner(),
            ],
            (0.3, 0.4),
        ),
    ],
)
def test_freshness_is_that_of_the_worst_shard(owners, freshness) -> None:
    assert loading._freshness(owners) == freshness


class Gauges:
    """What the workers of an installation have counted, moment by moment."""

    def __init__(self, texts: float = 0.0) -> None:
        self.handled = {"embedder": 10.0, "shards": 10.0}
        self.texts, self.records, self.time = texts, 0.0, 0.0

    def now(self) -> Moment:
        self.time += 1
        counted = {
            name: {"headrace_applied_total": done, EMBEDDED: self.texts * self.time, PUBLISHED: self.records}
            for name, done in self.handled.items()
        }
        return Moment(self.time, counted, {"embedder": self.time, "shards": self.time, "valkey": 0.0})

    def wait(self, worker, enough, show) -> None:
        while not enough({"headrace_applied_total": self.handled[worker]}):
            self.handled[worker] += 1
            self.records += worker == "embedder"
            show({"headrace_applied_total": self.handled[worker]})


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(ingest.harness, "write", lambda _, messages, show: show(len(messages)) or 0.5)

    def run(texts: float = 0.0) -> tuple[Phase, Progress]:
        progress = Progress(disable=True)
        stack = SimpleNamespace(settings=Settings())
        phase = Ingest(stack, Gauges(texts), progress).run("documents", ingest.upserts(SALE.products[:25], 7))  # type: ignore[arg-type]
        return phase, progress

    return run


def test_a_phase_ends_when_the_shards_have_applied_what_came_of_it(measured) -> None:
    phase, progress = measured()
    assert (phase.messages, phase.records) == (25, 25)
    assert phase.seconds > 0
    assert phase.rate == pytest.approx(25 / phase.seconds)
    assert phase.cpu_rate == pytest.approx(25 / (phase.cpu["embedder"] + phase.cpu["shards"]))
    assert [task.completed for task in progress.tasks] == [25, 25]
    assert "embedder" in phase.cpu_note


def test_a_phase_that_used_the_model_is_refused_where_none_should(measured) -> None:
    phase, _ = measured(texts=2.0)
    assert phase.texts > 0
    with pytest.raises(FatalError, match="price changes: "):
        ingest.refuse_inference("price changes", phase)
    ingest.refuse_inference("re-delivery", measured()[0])


@pytest.mark.parametrize(
    ("without", "complaint"), [((), ""), ((SALE.products[-1].id,), "1 products are not searchable")]
)
def test_every_partition_s_last_product_must_be_searchable(monkeypatch, without, complaint) -> None:
    class Context(Search):
        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            return None

    monkeypatch.setattr(ingest, "SearchClient", lambda _: Context(without=without))
    stack = SimpleNamespace(settings=Settings(partitions=2), url=lambda _: "http://search")
    if not complaint:
        ingest._all_searchable(stack, SALE.products)  # type: ignore[arg-type]  all that is asked of it
        return
    with pytest.raises(FatalError, match=complaint):
        ingest._all_searchable(stack, SALE.products)  # type: ignore[arg-type]
