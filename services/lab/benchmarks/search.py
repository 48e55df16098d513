"""`headrace bench search`: POST /search of a whole installation, beside libraries and OpenSearch."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.progress import Progress

from headrace.search_api import SearchClient
from services.lab.benchmarks.harness import Gauges
from services.lab.benchmarks.http_load import LoadPlan
from services.lab.benchmarks.load_run import LoadResult, run
from services.lab.benchmarks.search_engines import SHARES, Headrace, Kind, MeasuredEngine
from services.lab.benchmarks.search_material import IndexedProducts, Questions, fill, questions
from services.lab.benchmarks.search_opensearch import home, node
from services.lab.benchmarks.search_peers import measure as measure_peers
from services.lab.benchmarks.search_peers import recall
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from shared.encoder.loading import load_encoder
from shared.errors import FatalError
from shared.infrastructure.stack import Stack

WORKERS = ("shards", "embedder", "search")
OPENSEARCH = "OpenSearch"
CLIENTS = 16
WARM_SECONDS = 10.0
"""So long the same clients ask before anything is timed: the JVM compiles what is hot, ours fills pools."""
KNOWN, NEW, OTHERS = 600, 300, 300
"""Searches, one after the other: hybrid of known and of new texts; of each other kind."""
OTHER_KINDS: Sequence[Kind] = ("lexical", "dense", *SHARES)
GOALS = {"known query p50": 5.0, "known query p99": 15.0, "new query p50": 15.0, "new query p99": 30.0}
"""Milliseconds."""
RATE_GOAL = 200.0
"""Searches a second."""


@dataclass(slots=True)
class EngineFigures:
    """What one engine did."""

    known: LoadResult
    """One search after the other, texts asked before."""
    busy: LoadResult
    """The same from several clients at once."""
    cpu: Mapping[str, float]
    """CPU-milliseconds a search of `busy`, by process."""
    others: Mapping[Kind, LoadResult]
    new: LoadResult = field(default_factory=LoadResult)
    """One after the other, texts never asked."""
    recall: float = 0.0
    """Of its dense searches, against the exact ten."""

    @property
    def cpu_ms(self) -> float:
        """CPU-milliseconds of all its processes a search."""
        return sum(self.cpu.values())


def measure(
    stack: Stack, catalogue: GradedCatalogue, *, products: int, seconds: float, progress: Progress
) -> tuple[IndexedProducts, Questions, EngineFigures]:
    """Fill the installation with so many products and ask it; raises `FatalError` when an answer is wrong."""
    copies = max(0, products - len(catalogue.products))
    indexed = fill(stack, catalogue, copies, progress)
    asked = questions(catalogue, indexed, load_encoder(stack.settings.model))
    gauges = Gauges(stack)
    try:
        engine = Headrace(stack.url("search"), gauges, asked)
        figures = ask("Headrace", engine, asked, seconds=seconds, progress=progress)
        new = engine.new()[:NEW]
        plan = LoadPlan(*engine.address, tuple(new), engine.whole, searches=len(new))
        figures.new = _run("Headrace, new queries", plan, progress)
    finally:
        gauges.close()
    figures.recall = _recall(stack.url("search"), indexed, asked)
    return indexed, asked, figures


def compare(
    products: IndexedProducts, asked: Questions, *, seconds: float, progress: Progress
) -> tuple[list[ReportRow], EngineFigures | None]:
    """Return the libraries' rows, and OpenSearch's figures where it is installed."""
    rows, truth = measure_peers(products, asked, say=progress.console.print)
    place = home()
    if place is None:
        progress.console.print("OPENSEARCH_HOME is not set: OpenSearch is not measured")
        return rows, None
    with node(place) as engine:
        engine.fill(products, asked, progress)
        figures = ask(OPENSEARCH, engine, asked, seconds=seconds, progress=progress)
        places = {name: row for row, name in enumerate(products.ids)}
        answers = [
            [places[name] for name in engine.ids(engine.known(number, "dense"))]
            for number in range(len(asked.known))
        ]
        figures.recall = recall(truth, answers)
    return rows, figures


def ask(
    name: str, engine: MeasuredEngine, asked: Questions, *, seconds: float, progress: Progress
) -> EngineFigures:
    """Warm the engine up and ask it; the same for each of them."""

    def plan(kind: Kind, *, clients: int = 1, searches: int = 0, seconds: float = 0.0) -> LoadPlan:
        requests = tuple(engine.known(number, kind) for number in range(len(asked.known)))
        return LoadPlan(
            *engine.address, requests, engine.whole, clients=clients, searches=searches, seconds=seconds
        )

    warm_up = plan("hybrid", clients=CLIENTS, seconds=WARM_SECONDS)
    _run(f"{name}, warm-up", warm_up, progress)
    known = _run(f"{name}, known queries", plan("hybrid", searches=KNOWN), progress)
    others = {kind: _run(f"{name}, {kind}", plan(kind, searches=OTHERS), progress) for kind in OTHER_KINDS}
    before = engine.cpu()
    busy = _run(f"{name}, {CLIENTS} clients", plan("hybrid", clients=CLIENTS, seconds=seconds), progress)
    answers = max(1, busy.answered)
    cpu = {process: (used - before[process]) * 1000 / answers for process, used in engine.cpu().items()}
    return EngineFigures(known, busy, cpu, others)


def _run(name: str, plan: LoadPlan, progress: Progress) -> LoadResult:
    """Run one load, and say what was refused; raises `FatalError` when nothing was answered."""
    bar = progress.add_task(name, total=plan.searches or None)
    result = run(plan, lambda portion: progress.advance(bar, len(portion.latencies)))
    progress.update(bar, total=len(result.latencies), completed=len(result.latencies))
    if result.failed:
        kinds = ", ".join(f"{number} times {error}" for error, number in result.errors.items())
        sentence = f"{name}: {kinds}, of {result.answered} searches"
        if not result.latencies:
            raise FatalError(sentence)
        progress.console.print(sentence)
    return result


def _recall(url: str, products: IndexedProducts, asked: Questions) -> float:
    """Return the recall@10 of dense searches against the exact scan of the same vectors."""
    places = {name: row for row, name in enumerate(products.ids)}
    with SearchClient(url) as client:
        answers = [client.search(text, mode="dense", fields=(), log=False).hits for text in asked.known]
    flat = products.vectors @ asked.vectors.T
    truth = [[int(row) for row in (-flat[:, number]).argsort()[:10]] for number in range(len(asked.known))]
    return recall(truth, [[places[hit.product_id] for hit in hits] for hits in answers])


def broken(ours: EngineFigures) -> list[str]:
    """Return a sentence when searches that were measured were not answered whole; none: all were."""
    results = (ours.known, ours.new, ours.busy, *ours.others.values())
    errors = sum((result.errors for result in results), Counter[str]())
    if not errors:
        return []
    kinds = ", ".join(f"{number} times {error}" for error, number in errors.most_common())
    return [f"{errors.total()} of {sum(result.answered for result in results)} searches failed: {kinds}"]


def rows(
    ours: EngineFigures, theirs: EngineFigures | None, peers: Sequence[ReportRow], products: int
) -> Iterator[ReportRow]:
    """Yield the report; OpenSearch is the bound where it was measured, else the goal."""
    yield from _one_by_one(ours, theirs, products)
    yield from _together(ours, theirs)
    yield from _others(ours, theirs)
    if theirs is not None:
        yield from _of_opensearch(theirs)
    yield from peers


def _one_by_one(ours: EngineFigures, theirs: EngineFigures | None, products: int) -> Iterator[ReportRow]:
    quantiles = (("p50", 0.5), ("p99", 0.99))
    for name, result, other in (
        ("known query", ours.known, None if theirs is None else theirs.known),
        ("new query", ours.new, None),
    ):
        for label, share in quantiles:
            goal = GOALS[f"{name} {label}"]
            bound = goal if other is None else other.at(share)
            against = "the goal" if other is None else f"{OPENSEARCH}; goal {goal:g}"
            note = f"{products:,} products; bound: {against}"
            yield ReportRow(f"{name} {label}", result.at(share), "ms", bound, note)


def _together(ours: EngineFigures, theirs: EngineFigures | None) -> Iterator[ReportRow]:
    bound = RATE_GOAL if theirs is None else theirs.busy.rate
    against = "the goal" if theirs is None else f"OpenSearch; goal {RATE_GOAL:g}"
    note = f"{CLIENTS} clients, known queries, p99 {ours.busy.at(0.99):.1f} ms; bound: {against}"
    yield ReportRow("searches a second", ours.busy.rate, "1/s", bound, note)
    theirs_ms = None if theirs is None else theirs.cpu_ms
    used = ", ".join(f"{process} {milliseconds:.1f}" for process, milliseconds in ours.cpu.items())
    yield ReportRow("CPU a search", ours.cpu_ms, "ms", theirs_ms, f"{used}; not the broker")
    note = "its CPU a search, not in the row above"
    yield ReportRow("load generator", ours.busy.generator_ms, "ms", note=note)


def _others(ours: EngineFigures, theirs: EngineFigures | None) -> Iterator[ReportRow]:
    names: Mapping[Kind, str] = {"lexical": "words alone", "dense": "vectors alone"}
    for kind, result in ours.others.items():
        bound = None if theirs is None else theirs.others[kind].at(0.5)
        name = names.get(kind, f"{kind} selected".replace("filtered", "filter,"))
        yield ReportRow(f"{name} p50", result.at(0.5), "ms", bound, f"p99 {result.at(0.99):.1f}")
    yield ReportRow("recall@10", ours.recall, note="of vectors alone, against exact")


def _of_opensearch(theirs: EngineFigures) -> Iterator[ReportRow]:
    for label, share in (("p50", 0.5), ("p99", 0.99)):
        yield ReportRow(f"{OPENSEARCH} {label}", theirs.known.at(share), "ms", note="known queries")
    note = f"{CLIENTS} clients, p99 {theirs.busy.at(0.99):.1f} ms; CPU a search {theirs.cpu_ms:.1f} ms"
    yield ReportRow(f"{OPENSEARCH}, searches a second", theirs.busy.rate, "1/s", note=note)
    generator = theirs.busy.generator_ms
    yield ReportRow(f"{OPENSEARCH}, load generator", generator, "ms", note="its CPU a search")
    yield ReportRow(f"{OPENSEARCH}, recall@10", theirs.recall, note="of vectors alone, against exact")
