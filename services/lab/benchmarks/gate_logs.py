"""What a log of simulated shoppers becomes, by the trainer's own path: judgements, negatives, a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from schemas.judgements import Negative
from services.judgements.domain.counts import QueryProduct
from services.judgements.domain.statistics import grade as grade_of
from services.lab.benchmarks import training_ablation
from services.lab.benchmarks.training_ablation import GENERATION, NOW, RULES, RULES_BEFORE, Shoppers
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.shoppers import SHOPPERS
from services.lab.simulation.traffic import Ranker
from services.trainer.dataset.build import DatasetInputs, dataset_of
from services.trainer.dataset.domain.assembly import DatasetSources
from services.trainer.dataset.domain.cleaning import TrainingJudgement
from services.trainer.dataset.domain.dataset import Dataset, TrainingPair
from services.trainer.dataset.domain.entry import CatalogueEntry, key_of
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.evaluation.sets import EmbeddedCorpus
from shared.retrieval import quality

PAGE = 10
"""Products that a shopper is shown."""
WORTH = (0.0, 0.3, 1.0, 3.0)
"""What a product of each human grade is worth, as the value of a judgement: 1 is average."""


class LogSpec(NamedTuple):
    """Which shoppers came, and how many."""

    sessions: int
    seed: int = 1
    shoppers: str = "position-based"
    jitter: float = 0.0
    """Of the ranker; none: shoppers see exactly what search answers."""


Labels = Literal["judgements", "raw rates", "clicks", "grades", "shuffled"]
"""What a fit learns from: what the trainer learns from; clicks an impression; whether there was a click; what
people said; nonsense."""
Pair = tuple[str, str]
"""Normalised query and product."""


@dataclass(frozen=True)
class ShopLog:
    """A log as the trainer sees it, and what nobody but the simulation knows of it."""

    dataset: Dataset
    readings: Mapping[Labels, Mapping[Pair, float]]
    """The value of each pair when the log is read in a simpler way."""
    shown: Mapping[str, frozenset[str]]
    """Every product that was ever shown for a query, by the query's text."""
    visits: Mapping[str, float]
    """How often a query was asked, by its text."""
    negatives: Mapping[str, Sequence[Negative]]
    """Those of each query that something is mined for, by its text."""
    negatives_before: Mapping[str, Sequence[Negative]]
    """Those by the rule of before."""


def simulated_log(
    spec: LogSpec, catalogue: GradedCatalogue, answers: quality.Rankings, *, live: EmbeddedCorpus
) -> ShopLog:
    """Let shoppers see the answers (ids by query id, best first), and assemble what they taught.

    `live` is the catalogue in the vectors of the model that answered: negatives are mined by it. Every query
    of `catalogue` is asked.
    """
    shoppers = training_ablation.watch(
        catalogue,
        spec.sessions,
        spec.seed,
        ranker=Ranker.like(answers, jitter=spec.jitter),
        model=SHOPPERS[spec.shoppers],
    )
    mined, before = (
        training_ablation.mined(shoppers, live, catalogue, rules=rules) for rules in (RULES, RULES_BEFORE)
    )
    negatives = [negative for of_query in mined.values() for negative in of_query]
    shown: dict[str, set[str]] = {}
    visits: dict[str, float] = {}
    for key, counts in shoppers.counts.items():
        text = shoppers.texts[key.query]
        shown.setdefault(text, set()).add(key.product_id)
        visits[text] = visits.get(text, 0.0) + sum(counts.impressions.values()) / PAGE
    readings: dict[Labels, Mapping[Pair, float]] = {
        "raw rates": _by_pair(training_ablation.raw(shoppers)),
        "clicks": _by_pair(training_ablation.clicks(shoppers)),
    }
    dataset = assembled(catalogue, shoppers, negatives, seed=spec.seed)
    return ShopLog(
        dataset,
        readings,
        {text: frozenset(ids) for text, ids in shown.items()},
        visits,
        negatives=mined,
        negatives_before=before,
    )


def assembled(
    catalogue: GradedCatalogue, shoppers: Shoppers, negatives: Sequence[Negative], *, seed: int
) -> Dataset:
    """Return the data set that the trainer would make of these judgements and negatives.

    Raises `FatalError` when something leaks.
    """
    selection = DatasetSelection()
    entries = {}
    for product in catalogue.products:
        fields = product.fields()
        key = key_of(product.id, fields, selection)
        entries[product.id] = CatalogueEntry.of(product.id, fields, selection, key=key)
    sources = DatasetSources(
        judged=[TrainingJudgement.of(item, NOW, selection) for item in shoppers.judgements.values()],
        negatives=negatives,
        entries=entries,
    )
    return dataset_of(
        sources, DatasetInputs(ranges=(), selection=selection, generation=GENERATION, seed=seed)
    )


def taught(log: ShopLog, labels: Labels, grades: quality.Grades, *, seed: int) -> Dataset:
    """Return the data set with its training pairs labelled in that way; what is held out stays as it is.

    `grades` are by normalised query.
    """
    if labels == "judgements":
        return log.dataset
    train = log.dataset.of("train")
    if labels == "grades":
        pairs = _graded(log.dataset, grades)
    elif labels == "shuffled":
        pairs = _shuffled(train, seed)
    else:
        pairs = [
            _relabelled(pair, log.readings[labels].get((pair.query, pair.product_id), 0.0)) for pair in train
        ]
    pairs += [pair for pair in log.dataset.pairs if pair.split != "train"]
    return replace(log.dataset, pairs=tuple(sorted(pairs, key=lambda pair: (pair.query, pair.product_id))))


def _graded(dataset: Dataset, grades: quality.Grades) -> list[TrainingPair]:
    """Return the training pairs as people see them, also of products that were never shown.

    A model that learns from them is better than the log could have made it. Pairs and products that are held
    out stay out.
    """
    closed = {(pair.query, pair.product_id) for pair in dataset.pairs if pair.split != "train"}
    new = {pair.product_id for pair in dataset.pairs if pair.split in ("novel_product", "zero_shot")}
    example = {pair.query: pair for pair in dataset.of("train")}
    return [
        _relabelled(pair.model_copy(update={"product_id": product_id}), WORTH[grade], grade=float(grade))
        for query, pair in sorted(example.items())
        for product_id, grade in grades.get(query, {}).items()
        if (query, product_id) not in closed and product_id not in new
    ]


def _shuffled(train: Sequence[TrainingPair], seed: int) -> list[TrainingPair]:
    """Return the pairs with each other's products, so that nothing can be learned from them."""
    order = np.random.default_rng(seed).permutation(len(train))
    return [
        train[place].model_copy(update={"query": pair.query})
        for pair, place in zip(train, order, strict=True)
    ]


def _relabelled(pair: TrainingPair, value: float, *, grade: float | None = None) -> TrainingPair:
    of_value = grade_of(value) if grade is None else grade
    return pair.model_copy(update={"value": value, "grade": of_value})


def _by_pair(values: Mapping[QueryProduct, float]) -> dict[Pair, float]:
    return {(key.query, key.product_id): value for key, value in values.items()}
