"""Models held against grades of people, or a shop's own judgements: sizes, precisions, what they cost."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from schemas.control import ModelKind
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue, relevant_to
from services.trainer.dataset.domain.dataset import Dataset, ProductText
from services.trainer.dataset.domain.entry import texts_of
from services.trainer.evaluation.assessment import CandidateAssessment, CandidateEvaluator
from services.trainer.evaluation.domain.figures import HELD_OUT, OPTIMISTIC, PESSIMISTIC, MetricComparison
from services.trainer.evaluation.evaluate import SHOWN, Evaluated, evaluate_on
from services.trainer.evaluation.sets import EvaluationSet
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.jobs.settings import Settings
from services.trainer.learning.domain.recipe import Recipe
from shared.encoder.pipeline import model_type
from shared.settings import ModelSettings

GRADES = "grades"
WHOLE_SETS = (GRADES, HELD_OUT)
"""The sets whose rows are called by the measure alone."""
MEASURE = "nDCG@10"
KINDS: Mapping[str, ModelKind] = {"CrossEncoder": "reranker", "MultiVectorEncoder": "late-interaction"}
"""By the class of sentence-transformers that saved a model."""


def evaluated(
    catalogue: GradedCatalogue, model: ModelSettings, against: ModelSettings, *, shop: ShopSearch
) -> Evaluated:
    """Judge a model, beside another or alone; raises `ConfigurationError` when a directory is refused."""
    texts = {query.id: query.text for query in catalogue.queries}
    relevant = relevant_to(catalogue)
    grades = {texts[query]: row for query, row in catalogue.grades.items() if query in relevant}
    products = [
        ProductText(product_id=product.id, text=product.title, fields=texts_of(product.fields()))
        for product in catalogue.products
    ]
    return evaluate_on(EvaluationSet(GRADES, grades), products, live=against, candidate=model, shop=shop)


def judged(dataset: Dataset, model: Path, against: Path, settings: Settings) -> CandidateAssessment:
    """Judge a model beside another by what shoppers did, as a job judges its candidate (blocking; minutes).

    Neither is known to be live: the other is asked with the weight that search is set to, and no canaries.
    Raises `ConfigurationError` when a directory is refused.
    """
    evaluator = CandidateEvaluator(
        live=against,
        model=settings.model,
        progress=lambda *_: None,
        terms=settings.trainer.terms,
        shop=settings.shop_search(settings.trainer.mode),
    )
    return evaluator.assess(dataset, model, Recipe(kind=kind_of(model)))


def kind_of(model: Path) -> ModelKind:
    """Return what kind of model a directory holds; an embedding model where it does not say."""
    return KINDS.get(model_type(model) or "", "encoder")


def verdict(assessment: CandidateAssessment) -> tuple[str, ...]:
    """Return the verdict in sentences, the one to read first."""
    first, *rest = assessment.verdict.reasons
    return f"{assessment.verdict.answer}: {first}", *rest


def rows(evaluation: Evaluated, *, alone: bool, costs: bool) -> Iterator[ReportRow]:
    """Yield every measure, then each code; with `costs`, its bytes and time as rows of their own."""
    shares: set[str] = set()
    for comparison in evaluation.compared:
        place = " ".join(word for word in (comparison.evaluation_set, comparison.part) if word)
        where = "" if place in WHOLE_SETS else f", {place}"
        if where not in shares:
            shares.add(where)
            yield _shown(f"{SHOWN}{where} at {comparison.code}", comparison, alone=alone)
        if not (alone and comparison.measure in (PESSIMISTIC, OPTIMISTIC)):
            yield _row(f"{comparison.measure}{where} at {comparison.code}", comparison, alone=alone)
    for cost in evaluation.costs:
        note = f"of the best 10; {cost.bytes:g} B a document, {cost.scan_ms:.2f} ms a scan"
        yield ReportRow(f"overlap@10 at {cost.code}", cost.overlap, note=note)
        if costs:
            yield ReportRow(f"bytes at {cost.code}", cost.bytes, "B")
            yield ReportRow(f"scan at {cost.code}", cost.scan_ms, "ms")
    yield ReportRow("query to vector", evaluation.encode_ms, "ms", note="the middle one, one at a time")
    if evaluation.threshold is not None:
        yield ReportRow(
            "threshold",
            evaluation.threshold,
            note=f"best F1 on these grades; for {evaluation.candidate} only",
        )
    if evaluation.dense_weight is not None:
        yield ReportRow(
            "dense weight", evaluation.dense_weight, note="best nDCG@10 of hybrid on these grades; likewise"
        )


def _shown(name: str, comparison: MetricComparison, *, alone: bool) -> ReportRow:
    live, candidate = comparison.shown
    note = "of first pages, by discount: what was ever shown, or graded"
    return ReportRow(name, candidate, bound=None if alone else live, note=note)


def _row(name: str, comparison: MetricComparison, *, alone: bool) -> ReportRow:
    if alone:
        note = f"{comparison.queries} queries"
        return ReportRow(name, comparison.candidate, note=note, queries=comparison.queries)
    interval = f"{comparison.difference:+.4f} [{comparison.low:+.4f}, {comparison.high:+.4f}]"
    note = f"{interval}, {comparison.queries} queries"
    return ReportRow(
        name,
        comparison.candidate,
        bound=comparison.live,
        note=note,
        interval=(comparison.low, comparison.high),
        queries=comparison.queries,
    )


def plot(evaluation: Evaluated, file: Path) -> None:
    """Draw quality beside bytes a document, a line a precision."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and for plots only

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    by_precision: dict[str, list[tuple[float, float]]] = {}
    for cost in evaluation.costs:
        by_precision.setdefault(cost.code.partition(" ")[2], []).append((cost.bytes, cost.quality))
    for precision, points in by_precision.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=precision)
    axes.set(xscale="log", xlabel="bytes a document", ylabel=MEASURE, title=f"model {evaluation.candidate}")
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=120)
