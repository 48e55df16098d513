"""`headrace evaluate`: what the search API answers, held against grades, and how soon it shows a change."""

import time
from collections.abc import Mapping, Sequence

import stamina
from rich.progress import Progress

from headrace.search_api import SearchClient
from schemas.search_api import Mode
from services.lab.benchmarks import loading
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue, ShopQuery, relevant_to
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
    settings: Settings,
    client: SearchClient,
    catalogue: GradedCatalogue,
    *,
    changes: int,
    progress: Progress,
    gains: Mapping[int, int] = quality.GAINS,
) -> tuple[list[ReportRow], int]:
    """Load the catalogue, ask every query in every mode; also return how many other products there are."""
    relevant_to(catalogue)  # before minutes are spent on what says nothing
    loaded = loading.load(settings, client, catalogue, progress=progress)
    rows = [row for mode in MODES for row in judge(client, catalogue, mode, progress, gains=gains)]
    live = loading.live_changes(settings, client, changes, progress=progress) if changes else []
    return [*rows, *loaded.rows(), *live], loaded.others


def judge(
    client: SearchClient,
    catalogue: GradedCatalogue,
    mode: Mode,
    progress: Progress,
    *,
    gains: Mapping[int, int] = quality.GAINS,
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
    return rows(catalogue, mode, ranked, seconds, gains=gains)


def rows(
    catalogue: GradedCatalogue,
    mode: str,
    ranked: dict[str, Sequence[str]],
    seconds: Sequence[float],
    *,
    gains: Mapping[int, int] = quality.GAINS,
) -> list[ReportRow]:
    """Return the measures of one mode; of hybrid search first nDCG@10 beside its goal, by its gains."""
    grades = {query.id: catalogue.grades.get(query.id, {}) for query in catalogue.queries}
    figures = quality.figures(grades, ranked, MEASURES, gains=gains)
    measures = [_row(f"{mode} {name}", figure) for name, figure in figures.items() if figure.count]
    middle = sorted(seconds)[len(seconds) // 2] * 1000
    headline = ReportRow("nDCG@10", measures[0].value, bound=GOAL, note="hybrid")
    return [
        *([headline] if mode == "hybrid" and gains == quality.GAINS else []),
        *measures,
        ReportRow(f"{mode} search p50", middle, "ms", note="whole round trip, one at a time"),
    ]


def _row(name: str, figure: quality.Figure) -> ReportRow:
    note = f"± {figure.half_width:.4f} (95 %, {figure.count} queries)"
    if figure.left_out:
        note += f"; {figure.left_out} without a relevant product left out"
    return ReportRow(
        name,
        figure.mean,
        note=note,
        half_width=figure.half_width,
        queries=figure.count,
        left_out=figure.left_out,
    )


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
