"""Models held against human grades, without a broker: sizes, precisions, and what they cost."""

from collections.abc import Iterator
from pathlib import Path

from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.trainer.domain.verdict import Compared
from services.trainer.evaluation.evaluate import Evaluated, evaluate_on
from services.trainer.evaluation.ground import Ground
from shared.settings import ModelSettings

GROUND = "grades"
MEASURE = "nDCG@10"


def evaluated(catalogue: Catalogue, model: ModelSettings, against: ModelSettings) -> Evaluated:
    """Judge a model, beside another or alone; raises `ConfigurationError` when a directory is refused."""
    texts = {query.id: query.text for query in catalogue.queries}
    grades = {texts[query]: row for query, row in catalogue.grades.items() if row}
    corpus = {product.id: product.title for product in catalogue.products}
    return evaluate_on(Ground(GROUND, grades), corpus, live=against, candidate=model)


def rows(found: Evaluated, *, alone: bool, costs: bool) -> Iterator[Row]:
    """Yield every measure, then each code; with `costs`, its bytes and time as rows of their own."""
    for it in found.compared:
        where = "" if it.ground == GROUND else f", {it.ground}"
        yield _row(f"{it.measure}{where} at {it.code}", it, alone=alone)
    for cost in found.costs:
        note = f"of the best 10; {cost.bytes:g} B a document, {cost.scan_ms:.2f} ms a scan"
        yield Row(f"overlap@10 at {cost.code}", cost.overlap, note=note)
        if costs:
            yield Row(f"bytes at {cost.code}", cost.bytes, "B")
            yield Row(f"scan at {cost.code}", cost.scan_ms, "ms")
    yield Row("query to vector", found.encode_ms, "ms", note="the middle one, one at a time")
    if found.threshold is not None:
        yield Row("threshold", found.threshold, note=f"best F1 on these grades; for {found.candidate} only")
    if found.dense_weight is not None:
        yield Row("dense weight", found.dense_weight, note="best nDCG@10 of hybrid on these grades; likewise")


def _row(name: str, it: Compared, *, alone: bool) -> Row:
    if alone:
        return Row(name, it.candidate, note=f"{it.queries} queries")
    between = f"{it.difference:+.4f} [{it.low:+.4f}, {it.high:+.4f}], {it.queries} queries"
    return Row(name, it.candidate, bound=it.live, note=between, interval=(it.low, it.high))


def plot(found: Evaluated, file: Path) -> None:
    """Draw quality beside bytes a document, a line a precision."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and for plots only

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    kinds: dict[str, list[tuple[float, float]]] = {}
    for cost in found.costs:
        kinds.setdefault(cost.code.partition(" ")[2], []).append((cost.bytes, cost.quality))
    for kind, points in kinds.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=kind)
    axes.set(xscale="log", xlabel="bytes a document", ylabel=MEASURE, title=f"model {found.candidate}")
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=120)
