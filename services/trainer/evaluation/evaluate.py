"""Candidate against live model: on every split, as shoppers would see it, with paired intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from schemas.base import Fingerprint, Score, Value
from schemas.control import ModelProbe
from services.trainer.dataset.domain.dataset import Dataset, ProductText
from services.trainer.evaluation.comparison import ModelComparison, compare_vectors
from services.trainer.evaluation.costs import Cost, costs, encode_ms
from services.trainer.evaluation.domain.figures import MetricComparison
from services.trainer.evaluation.domain.fitting import threshold
from services.trainer.evaluation.domain.opinion import MissingEstimate
from services.trainer.evaluation.general import general
from services.trainer.evaluation.hybrid import FIT_LEAST, HybridPair
from services.trainer.evaluation.missing import missing_estimate, taught_by
from services.trainer.evaluation.sets import (
    EmbeddedCorpus,
    EvaluationSet,
    embed,
    evaluation_sets,
    validation_set,
)
from services.trainer.evaluation.settings import ShopSearch
from services.trainer.evaluation.words import Words, texts_by_id
from services.trainer.progress import Progress
from shared.encoder.description import describe
from shared.encoder.directory import model_directory
from shared.encoder.loading import load_encoder
from shared.encoder.parity import probes_of
from shared.errors import FatalError
from shared.ports import Encoder
from shared.retrieval import quality
from shared.settings import ModelSettings

SHOWN = "shown@10"


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
    live_weight: Score | None = None
    """Of vectors in what shoppers see today."""
    dense_weight: Score | None = None
    faults: tuple[str, ...] = ()
    """What is wrong with the candidate itself, whatever its figures are."""
    probes: tuple[ModelProbe, ...] = ()
    """The candidate's vectors of a few texts, by the encoder that was judged."""
    missing: MissingEstimate | None = None
    """The difference with what nobody graded as a judge sees it; None: none speaks."""

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
            if name not in figures:  # what decides comes first
                figures |= {name: comparison.candidate, f"{name} - live": comparison.difference}
            elif not comparison.part:
                figures[f"{name} at {comparison.code}"] = comparison.candidate
        return figures | {"encode ms": self.encode_ms}


def evaluate(
    dataset: Dataset, live: ModelSettings, candidate: ModelSettings, *, shop: ShopSearch, progress: Progress
) -> Evaluated:
    """Embed the data set's products with both embedding models and compare them (blocking; minutes).

    Raises `ConfigurationError` when a model's directory is refused.
    """
    corpus = embedded_texts(dataset.products)
    sets, fit_set = list(evaluation_sets(dataset)), validation_set(dataset)
    queries = asked_queries([*sets, fit_set], shop)
    described = describe(model_directory(candidate.path), candidate)
    live_encoder = load_encoder(live)
    progress("evaluation", 0.0, {})
    of_live = embed(live_encoder, corpus, [*queries, *taught_by(dataset)], cut=shop.cut)
    progress("evaluation", 0.4, {})
    try:
        encoders = [live_encoder, load_encoder(candidate)]
        of_candidate = embed(encoders[1], corpus, queries, cut=shop.cut)
    except FatalError as error:
        return Evaluated(
            live=live_encoder.fingerprint,
            candidate=described.fingerprint,
            dimensions=described.dimensions,
            products=len(corpus),
            compared=(),
            faults=(f"broken: {error}",),
        )
    progress("evaluation", 0.8, {})
    words = words_of(dataset.products, shop)
    search = HybridPair.of(of_live, of_candidate, words, shop=shop, fit_set=fit_set)
    evaluated = _evaluated(encoders, ModelComparison(sets, search), fit_set)
    noted = {"missing": missing_estimate(dataset, search), "probes": probes_of(encoders[1])}
    return evaluated.model_copy(update=noted)


def evaluate_on(
    evaluation_set: EvaluationSet,
    products: Sequence[ProductText],
    *,
    live: ModelSettings,
    candidate: ModelSettings,
    shop: ShopSearch,
) -> Evaluated:
    """Compare two models on one set that neither has learned from; the same one twice is one alone.

    Both are asked with the weight of the live one: what is fitted on these very queries cannot be judged by
    them.
    """
    models = [live] if live == candidate else [live, candidate]
    encoders = [load_encoder(model) for model in models]
    corpus = embedded_texts(products)
    embedded = [embed(encoder, corpus, evaluation_set.queries, cut=shop.cut) for encoder in encoders]
    words = words_of(products, shop)
    search = HybridPair.of(embedded[0], embedded[-1], words, shop=shop, fit_set=evaluation_set)
    search = replace(search, candidate=search.candidate.weighing(shop.live_weight))
    return _evaluated((encoders[0], encoders[-1]), ModelComparison([evaluation_set], search), evaluation_set)


def embedded_texts(products: Iterable[ProductText]) -> dict[str, str]:
    """Return what is embedded of each product, by id."""
    return {product.product_id: product.text for product in products}


def words_of(products: Iterable[ProductText], shop: ShopSearch) -> Words:
    """Return the words of the products as the shop's search indexes them."""
    return Words(texts_by_id(products, shop.text), shop.text)


def asked_queries(sets: Iterable[EvaluationSet], shop: ShopSearch) -> list[str]:
    """Return every query of the sets, and those of the shop's canaries."""
    queries = [query for evaluation_set in sets for query in evaluation_set.queries]
    return [*queries, *(canary.query for canary in shop.canaries)]


def _evaluated(encoders: Sequence[Encoder], comparison: ModelComparison, fit_set: EvaluationSet) -> Evaluated:
    search = comparison.search
    embedded = search.candidate.embedded
    is_fitted = len(fit_set.grades) >= FIT_LEAST
    return Evaluated(
        live=encoders[0].fingerprint,
        candidate=encoders[1].fingerprint,
        dimensions=encoders[1].dimensions,
        products=len(embedded.ids),
        compared=(*comparison.compared(), _on_general_texts(encoders)),
        costs=tuple(costs(embedded, comparison.sets[0])) if comparison.sets else (),
        encode_ms=encode_ms(encoders[1], list(embedded.queries)),
        threshold=threshold(_scored(embedded, fit_set)) if is_fitted else None,
        live_weight=search.live.weight,
        dense_weight=search.fitted,
        faults=comparison.faults,
    )


def _on_general_texts(encoders: Sequence[Encoder]) -> MetricComparison:
    evaluation_set, corpus = general()
    live, candidate = (embed(encoder, corpus, evaluation_set.queries) for encoder in encoders)
    return compare_vectors(evaluation_set, live, candidate)


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
