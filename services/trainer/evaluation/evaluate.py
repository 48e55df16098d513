"""Candidate against live model, on every split, at every size and precision, with paired intervals."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TypeVar

from schemas.base import Fingerprint, Score, Value
from services.trainer.dataset.domain.dataset import Dataset
from services.trainer.evaluation.codes import WHOLE, Code, codes
from services.trainer.evaluation.comparison import AnswerComparison, shares
from services.trainer.evaluation.domain.figures import GENERAL, MEASURE, MetricComparison
from services.trainer.evaluation.domain.fitting import threshold
from services.trainer.evaluation.domain.statistics import paired
from services.trainer.evaluation.hybrid import Words, fitted_weight
from services.trainer.evaluation.sets import (
    EmbeddedCorpus,
    EvaluationSet,
    embed,
    evaluation_sets,
    validation_set,
)
from services.trainer.progress import Progress
from shared.encoder.loading import load_encoder
from shared.encoder.sentence import SentenceEncoder
from shared.errors import FatalError
from shared.retrieval import quality
from shared.settings import ModelSettings

QUESTIONS = Path(__file__).parent / "general.json"
SHOWN = "shown@10"
TIMED = 25
"""Queries whose time is taken, one by one."""
FIT_LEAST = 20
"""Queries without which neither threshold nor weight is fitted: search keeps its own."""
LENGTHS = (1.0, 1 / 2, 1 / 3, 1 / 6)

Item = TypeVar("Item")


class Cost(Value):
    """What a code of the candidate's vectors costs, and how good it is."""

    code: str
    bytes: Score
    """A document, with the vector that is kept to rescore."""
    scan_ms: Score
    """A query against every code, in memory: the middle one of some."""
    quality: Score
    """nDCG@10 of what is held out."""
    overlap: Score
    """Share of the ten best by the whole float vectors that the code finds, too."""


class Evaluated(Value):
    """All figures of a candidate, beside those of the live model."""

    live: Fingerprint
    candidate: Fingerprint
    dimensions: int
    products: int
    compared: tuple[MetricComparison, ...]
    costs: tuple[Cost, ...] = ()
    encode_ms: Score = 0.0
    """One query to its vector, the middle one of some."""
    threshold: Score | None = None
    dense_weight: Score | None = None
    faults: tuple[str, ...] = ()
    """What is wrong with the candidate itself, whatever its figures are."""

    def metrics(self) -> dict[str, float]:
        """Return the candidate's figures by name, as `models.v1` has them, and their differences to live.

        `shown@10` of a set is the share of the candidate's first pages that shoppers have ever been shown.
        """
        figures: dict[str, float] = {}
        for comparison in self.compared:
            name = comparison.name
            if not comparison.part:
                live, candidate = comparison.shown
                shown = f"{SHOWN} {comparison.evaluation_set}"
                figures |= (
                    {shown: candidate, f"{shown} - live": candidate - live} if shown not in figures else {}
                )
            if name not in figures:  # the whole vectors come first
                figures |= {name: comparison.candidate, f"{name} - live": comparison.difference}
            elif not comparison.part:
                figures[f"{name} at {comparison.code}"] = comparison.candidate
        return figures | {"encode ms": self.encode_ms}


@dataclass(frozen=True)
class ModelComparison:
    """A corpus as both models see it, and the evaluation sets whose queries are asked of it."""

    sets: Sequence[EvaluationSet]
    live: EmbeddedCorpus
    candidate: EmbeddedCorpus

    @property
    def dimensions(self) -> int:
        """Return those of the candidate, by which codes are called."""
        return int(self.candidate.documents.shape[1])

    def compared(self) -> Iterator[MetricComparison]:
        """Yield every measure of every set, its slices, and every size and precision."""
        for evaluation_set in self.sets:
            live, candidate = (
                corpus.answers(evaluation_set, corpus.nearest(evaluation_set, WHOLE))
                for corpus in (self.live, self.candidate)
            )
            whole = WHOLE.name(self.dimensions)
            yield from AnswerComparison(evaluation_set, live, candidate, code=whole).figures()
            for code in codes(LENGTHS):
                if code != WHOLE:
                    yield self.compare(evaluation_set, code)

    def compare(self, evaluation_set: EvaluationSet, code: Code) -> MetricComparison:
        """Return the comparison of both models' vectors in one code; what nobody graded counts as wrong."""
        nearest = [corpus.nearest(evaluation_set, code) for corpus in (self.live, self.candidate)]
        live, candidate = (
            quality.values(evaluation_set.grades, evaluation_set.judged_part(rows), [MEASURE])[MEASURE]
            for rows in nearest
        )
        return MetricComparison.of(
            evaluation_set.name,
            MEASURE,
            code.name(self.dimensions),
            difference=paired(live, candidate),
            shown=shares(evaluation_set, *nearest),
        )

    def costs(self) -> Iterator[Cost]:
        """Yield what each code of the candidate costs and how good it is, on the first set."""
        evaluation_set = self.sets[0]
        best = self.candidate.ranked(evaluation_set, WHOLE, depth=10)
        for code in codes(LENGTHS):
            ranked = self.candidate.ranked(evaluation_set, code)
            values = quality.values(evaluation_set.grades, ranked, [MEASURE])[MEASURE].values()
            yield Cost(
                code=code.name(self.dimensions),
                bytes=code.bytes(self.dimensions),
                scan_ms=_scan_ms(self.candidate, code),
                quality=fmean(values),
                overlap=fmean(
                    len({*row} & {*ranked[query][:10]}) / max(1, len(row)) for query, row in best.items()
                ),
            )


def evaluate(
    dataset: Dataset, *, live: Path, candidate: Path, model: ModelSettings, progress: Progress
) -> Evaluated:
    """Embed the data set's products with both embedding models and compare them (blocking; minutes).

    `model` says how models are loaded. Raises `ConfigurationError` when a directory is refused.
    """
    corpus = {product.product_id: product.text for product in dataset.products}
    sets, fit_set = list(evaluation_sets(dataset)), validation_set(dataset)
    queries = [query for evaluation_set in (*sets, fit_set) for query in evaluation_set.queries]
    encoders = [load_encoder(model.model_copy(update={"path": path})) for path in (live, candidate)]
    progress("evaluation", 0.0, {})
    of_live = embed(encoders[0], corpus, queries)
    progress("evaluation", 0.4, {})
    try:
        of_candidate = embed(encoders[1], corpus, queries)
    except FatalError as error:
        return Evaluated(
            live=encoders[0].fingerprint,
            candidate=encoders[1].fingerprint,
            dimensions=encoders[1].dimensions,
            products=len(corpus),
            compared=(),
            faults=(f"broken: {error}",),
        )
    progress("evaluation", 0.8, {})
    return _evaluated(encoders, ModelComparison(sets, of_live, of_candidate), fit_set, corpus=corpus)


def evaluate_on(
    evaluation_set: EvaluationSet,
    corpus: Mapping[str, str],
    *,
    live: ModelSettings,
    candidate: ModelSettings,
) -> Evaluated:
    """Compare two models on one set that neither has learned from; the same one twice is one alone."""
    models = [live] if live == candidate else [live, candidate]
    encoders = [load_encoder(model) for model in models]
    embedded = [embed(encoder, corpus, evaluation_set.queries) for encoder in encoders]
    comparison = ModelComparison([evaluation_set], embedded[0], embedded[-1])
    return _evaluated((encoders[0], encoders[-1]), comparison, evaluation_set, corpus=corpus)


def _evaluated(
    encoders: Sequence[SentenceEncoder],
    comparison: ModelComparison,
    fit_set: EvaluationSet,
    *,
    corpus: Mapping[str, str],
) -> Evaluated:
    is_fitted = len(fit_set.grades) >= FIT_LEAST
    embedded = comparison.candidate
    return Evaluated(
        live=encoders[0].fingerprint,
        candidate=encoders[1].fingerprint,
        dimensions=encoders[1].dimensions,
        products=len(corpus),
        compared=(*comparison.compared(), _on_general_texts(encoders)),
        costs=tuple(comparison.costs()) if comparison.sets else (),
        encode_ms=_encode_ms(encoders[1], list(embedded.queries)),
        threshold=threshold(_scored(embedded, fit_set)) if is_fitted else None,
        dense_weight=fitted_weight(embedded, fit_set, Words(corpus)) if is_fitted else None,
        faults=_faults(comparison),
    )


def _faults(comparison: ModelComparison) -> tuple[str, ...]:
    if comparison.candidate.is_degenerate and not comparison.live.is_degenerate:
        return ("broken: all products have nearly the same vector",)
    return ()


def general() -> tuple[EvaluationSet, dict[str, str]]:
    """Return everyday questions and the texts that answer them: what a fit must not forget."""
    rows = json.loads(QUESTIONS.read_bytes())
    corpus = {f"{number}": row["text"] for number, row in enumerate(rows)}
    wrong = dict.fromkeys(corpus, 0)
    grades = {row["query"]: wrong | {f"{number}": 3} for number, row in enumerate(rows)}
    return EvaluationSet(GENERAL, grades), corpus


def _on_general_texts(encoders: Sequence[SentenceEncoder]) -> MetricComparison:
    evaluation_set, corpus = general()
    live, candidate = (embed(encoder, corpus, evaluation_set.queries) for encoder in encoders)
    return ModelComparison([evaluation_set], live, candidate).compare(evaluation_set, WHOLE)


def _scored(embedded: EmbeddedCorpus, evaluation_set: EvaluationSet) -> list[tuple[float, bool]]:
    """Return the cosine of every judged pair, and whether the product is right."""
    indexed, scored = {*embedded.ids}, []
    for query, grades in evaluation_set.grades.items():
        ids = [product_id for product_id in grades if product_id in indexed]
        cosines = embedded.cosines(query, ids)
        scored += [
            (cosine, grades[product_id] >= quality.RELEVANT)
            for product_id, cosine in zip(ids, cosines, strict=True)
        ]
    return scored


def _scan_ms(embedded: EmbeddedCorpus, code: Code) -> float:
    coded = embedded.coded(code)
    return _median_ms(lambda query: coded.search(query[None], depth=10), list(embedded.queries.values()))


def _encode_ms(encoder: SentenceEncoder, queries: Sequence[str]) -> float:
    return _median_ms(lambda query: encoder.encode_queries([query]), queries)


def _median_ms(do: Callable[[Item], object], items: Sequence[Item]) -> float:
    """Return the median time of doing some of the items one by one, in milliseconds; 0 without any."""
    times = [0.0]
    for item in items[:TIMED]:
        began = time.perf_counter()
        do(item)
        times.append(1000 * (time.perf_counter() - began))
    return median(times)
