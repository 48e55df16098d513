"""`headrace evaluate`: what the search API answers, held against grades, and how soon it shows a change."""

import time
from collections.abc import Sequence

import stamina
from rich.progress import Progress

from headrace.client import SearchClient
from schemas.search_api import Mode
from services.lab.benchmarks import loading
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue, ShopQuery
from shared.errors import TransientError
from shared.retrieval import quality
from shared.settings import Settings

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid")
MEASURES = ("nDCG@10", "R@10", "R@50", "RR@10", "judged@10")
ATTEMPTS = 5
PATIENT_MS = 30_000
"""Quality is measured, not speed: a busy machine must not make an answer partial."""
GOAL = 0.62
"""nDCG@10 of hybrid search on the ESCI sample out of the box."""


def measure(
    settings: Settings, client: SearchClient, catalogue: GradedCatalogue, *, changes: int, progress: Progress
) -> tuple[list[ReportRow], int]:
    """Load the catalogue, ask every query in every mode; also return how many other products there are."""
    loaded = loading.load(settings, client, catalogue, progress=progress)
    rows = [row for mode in MODES for row in judge(client, catalogue, mode, progress)]
    live = loading.live_changes(settings, client, changes, progress=progress) if changes else []
    return [*rows, *loaded.rows(), *live], loaded.others


def judge(
    client: SearchClient, catalogue: GradedCatalogue, mode: Mode, progress: Progress
) -> list[ReportRow]:
    """Ask every query in one mode, and hold the answers against the grades."""
    bar = progress.add_task(f"queries, {mode}", total=len(catalogue.queries))
    ranked: dict[str, Sequence[str]] = {}
    seconds: list[float] = []
    for query in catalogue.queries:
        began = time.perf_counter()
        ranked[query.id] = _answer(client, query, mode)
        seconds.append(time.perf_counter() - began)
        progress.advance(bar)
    return rows(catalogue, mode, ranked, seconds)


def rows(
    catalogue: GradedCatalogue, mode: str, ranked: dict[str, Sequence[str]], seconds: Sequence[float]
) -> list[ReportRow]:
    """Return the measures of one mode; of hybrid search first nDCG@10 beside its goal."""
    figures = quality.figures(catalogue.grades, ranked, MEASURES)
    measures = [
        ReportRow(
            f"{mode} {name}", figure.mean, note=f"± {figure.half_width:.4f} (95 %, {figure.count} queries)"
        )
        for name, figure in figures.items()
    ]
    middle = sorted(seconds)[len(seconds) // 2] * 1000
    headline = ReportRow("nDCG@10", measures[0].value, bound=GOAL, note="hybrid")
    return [
        *([headline] if mode == "hybrid" else []),
        *measures,
        ReportRow(f"{mode} search p50", middle, "ms", note="whole round trip, one at a time"),
    ]


@stamina.retry(on=TransientError, attempts=ATTEMPTS, timeout=None, wait_initial=1.0)
def _answer(client: SearchClient, query: ShopQuery, mode: Mode) -> list[str]:
    """Return the first 50 products, best first; no or an incomplete answer is asked for again."""
    answer = client.search(
        query.text, k=quality.DEPTH, mode=mode, fields=(), log=False, timeout_ms=PATIENT_MS
    )
    if answer.partial:
        missing = [partition for partition in answer.partitions if not partition.answered]
        raise TransientError(f"the index does not answer in full: {missing[0].reason}")
    return [hit.product_id for hit in answer.hits]
