"""What simulated shoppers teach: the same log as raw clicks, as raw rates, and as corrected judgements."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

from schemas.judgements import Judgement, Negative
from schemas.search_api import MAX_K
from services.judgements.domain.counts import PairCounts, QueryProduct
from services.judgements.domain.examination import ExaminationEvidence, fit
from services.judgements.domain.judgement import ScoringContext, judge
from services.judgements.domain.rules import JoinRules
from services.judgements.domain.statistics import BusinessObjective, grade
from services.lab.benchmarks.click_model_ablation import simulated
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.comparison import recounted
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker
from services.negatives.domain.candidates import Retrieved, RetrievedProduct
from services.negatives.domain.evidence import RelevanceEvidence
from services.negatives.domain.mine import mine
from services.negatives.domain.plan import MiningPlan, plan_mining
from services.negatives.domain.rules import MiningRules
from services.negatives.domain.teaching import lesson
from services.trainer.dataset.domain.dataset import (
    Dataset,
    DatasetManifest,
    HardNegative,
    ProductText,
    TrainingPair,
)
from services.trainer.dataset.domain.entry import texts_of
from services.trainer.evaluation.sets import EmbeddedCorpus
from shared.catalogue.query_text import normalise
from shared.catalogue.texts import whole_text
from shared.catalogue.words import covered, telling_words
from shared.relevance.judge import UNTAUGHT_JUDGES, teaches_miner
from shared.relevance.learning import cross_fitted

EVER = 0
CLICK = "click"
RULES = MiningRules()
RULES_BEFORE = MiningRules(likely=1.0, depth=100, last_rank=100)
"""The margin alone: no judge has a say."""
HELD_OUT = 5
"""One in so many judged products of a training query is kept to be judged by."""
NOW = datetime.fromisoformat("2026-11-01T00:00:00+00:00")
GENERATION = "g1"
FINGERPRINT = "0" * 16


@dataclass(frozen=True)
class Shoppers:
    """What a log says about each (query, product): counted, and judged."""

    counts: Mapping[QueryProduct, PairCounts]
    judgements: Mapping[QueryProduct, Judgement]
    texts: Mapping[str, str]
    """The catalogue's query of each normalised one."""


def watch(
    catalogue: GradedCatalogue,
    sessions: int,
    seed: int,
    *,
    ranker: Ranker,
    model: ClickModel | None = None,
) -> Shoppers:
    """Simulate shoppers on every query, and judge what they did as the worker does."""
    log = simulated(catalogue, sessions, seed, until=NOW, ranker=ranker, model=model)
    counted = recounted(log.arrivals, JoinRules())
    window, objective = counted.tally.window(EVER), BusinessObjective()
    evidence = ExaminationEvidence(counted.tally.window_totals(EVER))
    for counts in window.values():
        evidence.add(counts)
    context = ScoringContext(
        expectations=fit(evidence, objective.prior), objective=objective, first=EVER, today=EVER, now=NOW
    )
    judged = {key: judge(key, counts, context) for key, counts in window.items()}
    return Shoppers(window, judged, {normalise(query.text): query.text for query in catalogue.queries})


def clicks(shoppers: Shoppers) -> dict[QueryProduct, float]:
    """Return 1 for a product that was ever clicked for the query, else 0."""
    return {key: float(counts.actions.get(CLICK, 0) > 0) for key, counts in shoppers.counts.items()}


def raw(shoppers: Shoppers) -> dict[QueryProduct, float]:
    """Return clicks an impression over their mean, blind to the position."""
    rates = {
        key: counts.actions.get(CLICK, 0) / max(1, sum(counts.impressions.values()))
        for key, counts in shoppers.counts.items()
    }
    mean = sum(rates.values()) / max(1, len(rates))
    return {key: rate / max(mean, 1e-9) for key, rate in rates.items()}


def corrected(shoppers: Shoppers) -> dict[QueryProduct, float]:
    """Return the judgement's value: all actions, over what was expected at the positions shown at."""
    return {key: judgement.value for key, judgement in shoppers.judgements.items()}


def negatives(
    shoppers: Shoppers, base: EmbeddedCorpus, catalogue: GradedCatalogue
) -> dict[str, list[HardNegative]]:
    """Return each query's mined negatives as a data set has them."""
    return {
        text: [
            HardNegative(
                query=text,
                product_id=negative.product_id,
                difficulty=negative.difficulty,
                skipped=negative.skipped,
            )
            for negative in of_query
        ]
        for text, of_query in mined(shoppers, base, catalogue).items()
    }


def mined(
    shoppers: Shoppers,
    base: EmbeddedCorpus,
    catalogue: GradedCatalogue,
    *,
    rules: MiningRules = RULES,
) -> dict[str, Sequence[Negative]]:
    """Mine each query's negatives as the worker does, by the base's vectors; a query may have none."""
    index = BaseIndex(base, catalogue, rules)
    evidence: dict[str, dict[str, RelevanceEvidence]] = defaultdict(dict)
    for key, judgement in shoppers.judgements.items():
        evidence[key.query][key.product_id] = RelevanceEvidence.of(judgement, rules.objective)
    plans = {query: plan for query, products in evidence.items() if (plan := plan_mining(products, rules))}
    answers = {query: index.retrieved(shoppers.texts[query], plan) for query, plan in sorted(plans.items())}
    taught = {
        query: lesson(evidence[query], retrieved)
        for query, retrieved in answers.items()
        if teaches_miner(query)
    }
    judges = cross_fitted(taught) or UNTAUGHT_JUDGES
    return {
        shoppers.texts[query]: mine(
            query, replace(plans[query], judge=judges.of(query)), retrieved, rules=rules, now=NOW
        ).negatives
        for query, retrieved in answers.items()
    }


class BaseIndex:
    """What an index of the base's vectors would answer to the miner."""

    def __init__(self, base: EmbeddedCorpus, catalogue: GradedCatalogue, rules: MiningRules) -> None:
        self._base = base
        self._depth = min(MAX_K, rules.depth)
        fields = {product.id: product.fields() for product in catalogue.products}
        self._identities = {name: rules.identity_of(of_product) for name, of_product in fields.items()}
        self._words = {name: telling_words(whole_text(of_product)) for name, of_product in fields.items()}

    def retrieved(self, query: str, plan: MiningPlan) -> Retrieved:
        """Return the nearest products, and what is known of what is right."""
        cosines = self._base.documents @ self._base.queries[query]
        scores = dict(zip(self._base.ids, cosines.tolist(), strict=True))
        nearest = sorted(scores, key=lambda product_id: (-scores[product_id], product_id))[: self._depth]
        wanted = telling_words(query)
        right = (plan.right & {*nearest}).union(plan.positives)
        return Retrieved(
            generation=GENERATION,
            fingerprint=FINGERPRINT,
            hits=tuple(
                RetrievedProduct(
                    product_id=product_id,
                    dense=scores[product_id],
                    lexical=None,
                    identity=self._identities[product_id],
                    covers=partial(covered, wanted, self._words[product_id]),
                )
                for product_id in nearest
            ),
            scores={product_id: scores[product_id] for product_id in plan.positives},
            identities=tuple(self._identities[product_id] for product_id in sorted(right)),
        )


@dataclass(frozen=True)
class Supervision:
    """A way to read the log: values by pair, and the negatives that go with them."""

    values: Mapping[QueryProduct, float]
    negatives: Mapping[str, Sequence[HardNegative]]


def dataset(
    catalogue: GradedCatalogue, shoppers: Shoppers, supervision: Supervision, taught_queries: frozenset[str]
) -> Dataset:
    """Return the data set of these queries: every fifth judged product is held out, by a fixed draw."""
    pairs = [
        TrainingPair(
            query=shoppers.texts[key.query],
            product_id=key.product_id,
            value=value,
            grade=grade(value),
            impressions=sum(shoppers.counts[key].impressions.values()),
            split="in_domain" if is_held_out(shoppers.texts[key.query], key.product_id) else "train",
        )
        for key, value in supervision.values.items()
        if shoppers.texts[key.query] in taught_queries
    ]
    hard = [
        item
        for query in taught_queries & supervision.negatives.keys()
        for item in supervision.negatives[query]
    ]
    return Dataset(
        DatasetManifest(name="bench", ranges=(), generation=GENERATION),
        tuple(sorted(pairs, key=lambda item: (item.query, item.product_id))),
        tuple(sorted(hard, key=lambda item: (item.query, item.product_id))),
        tuple(sorted(products(catalogue), key=lambda item: item.product_id)),
    )


def products(catalogue: GradedCatalogue) -> list[ProductText]:
    """Return the catalogue's products; the text is the title."""
    return [ProductText(product_id=product.id, text=product.title) for product in catalogue.products]


def texts(catalogue: GradedCatalogue) -> dict[str, str]:
    """Return each product's text by id."""
    return {product.product_id: product.text for product in products(catalogue)}


def indexed_texts(catalogue: GradedCatalogue) -> dict[str, dict[str, str]]:
    """Return the attributes of each product that search has as text, by id."""
    return {product.id: texts_of(product.fields()) for product in catalogue.products}


def is_held_out(query: str, product_id: str) -> bool:
    """Whether a pair is kept to be judged by: always the same answer for the same pair."""
    return bool(np.random.default_rng([*f"{query}\t{product_id}".encode()]).integers(HELD_OUT) == 0)
