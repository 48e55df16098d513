"""What simulated shoppers teach: the same log as raw clicks, as raw rates, and as corrected judgements."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from schemas.judgements import Judgement
from services.cli.benchmarks.taste import simulated
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.comparison import recounted
from services.cli.simulation.traffic import Ranker
from services.judgements.domain.counts import Pair as Key
from services.judgements.domain.counts import PairCounts
from services.judgements.domain.examination import Evidence, fit
from services.judgements.domain.judgement import Yardstick, judge
from services.judgements.domain.query import normalise
from services.judgements.domain.rules import Rules as Counting
from services.judgements.domain.statistics import Objective, grade
from services.negatives.domain.candidates import Hit, Likeness, Retrieved
from services.negatives.domain.fact import Fact
from services.negatives.domain.mine import mine
from services.negatives.domain.plan import plan
from services.negatives.domain.rules import Rules
from services.trainer.domain.dataset import Dataset, HardNegative, Manifest, Pair, Product
from services.trainer.evaluation.ground import Embedded

EVER = 0
CLICK = "click"
HELD_OUT = 5
"""One in so many judged products of a training query is kept to be judged by."""
NOW = datetime.fromisoformat("2026-11-01T00:00:00+00:00")
GENERATION = "g1"
FINGERPRINT = "0" * 16


@dataclass(frozen=True)
class Shoppers:
    """What a log says about each (query, product): counted, and judged."""

    counts: Mapping[Key, PairCounts]
    judgements: Mapping[Key, Judgement]
    texts: Mapping[str, str]
    """The catalogue's query of each normalised one."""


def watch(catalogue: Catalogue, sessions: int, seed: int, *, ranker: Ranker) -> Shoppers:
    """Simulate shoppers on every query, and judge what they did as the worker does."""
    log = simulated(catalogue, sessions, seed, until=NOW, ranker=ranker)
    counted = recounted(log.arrivals, Counting())
    window, objective = counted.tally.window(EVER), Objective()
    evidence = Evidence(counted.tally.window_totals(EVER))
    for counts in window.values():
        evidence.add(counts)
    by = Yardstick(
        expectations=fit(evidence, objective.prior), objective=objective, first=EVER, today=EVER, now=NOW
    )
    judged = {key: judge(key, counts, by) for key, counts in window.items()}
    return Shoppers(window, judged, {normalise(query.text): query.text for query in catalogue.queries})


def clicks(shoppers: Shoppers) -> dict[Key, float]:
    """Return 1 for a product that was ever clicked for the query, else 0."""
    return {key: float(counts.actions.get(CLICK, 0) > 0) for key, counts in shoppers.counts.items()}


def raw(shoppers: Shoppers) -> dict[Key, float]:
    """Return clicks an impression over their mean, blind to the position."""
    rates = {
        key: counts.actions.get(CLICK, 0) / max(1, sum(counts.impressions.values()))
        for key, counts in shoppers.counts.items()
    }
    mean = sum(rates.values()) / max(1, len(rates))
    return {key: rate / max(mean, 1e-9) for key, rate in rates.items()}


def corrected(shoppers: Shoppers) -> dict[Key, float]:
    """Return the judgement's value: all actions, over what was expected at the positions shown at."""
    return {key: judgement.value for key, judgement in shoppers.judgements.items()}


def negatives(shoppers: Shoppers, base: Embedded, catalogue: Catalogue) -> dict[str, list[HardNegative]]:
    """Mine each query's negatives as the worker does, by the base's vectors."""
    rules = Rules()
    likeness = {product.id: Likeness.of(product.fields(), rules) for product in catalogue.products}
    facts: dict[str, dict[str, Fact]] = defaultdict(dict)
    for key, judgement in shoppers.judgements.items():
        facts[key.query][key.product_id] = Fact.of(judgement, rules.objective)
    found = {}
    for query, known in sorted(facts.items()):
        text, planned = shoppers.texts[query], plan(known, rules)
        if planned is not None:
            retrieved = _retrieved(base, text, planned.positives, likeness=likeness, depth=rules.depth)
            mined = mine(query, planned, retrieved, rules=rules, now=NOW).negatives
            found[text] = [
                HardNegative(
                    query=text, product_id=it.product_id, difficulty=it.difficulty, skipped=it.skipped
                )
                for it in mined
            ]
    return found


def _retrieved(
    base: Embedded, query: str, positives: Sequence[str], *, likeness: Mapping[str, Likeness], depth: int
) -> Retrieved:
    """Return what an index of the base's vectors would answer."""
    scores = dict(zip(base.ids, (base.documents @ base.queries[query]).tolist(), strict=True))
    best = sorted(scores, key=lambda it: (-scores[it], it))[:depth]
    return Retrieved(
        generation=GENERATION,
        fingerprint=FINGERPRINT,
        hits=tuple(Hit(product_id=it, dense=scores[it], lexical=None, likeness=likeness[it]) for it in best),
        scores={it: scores[it] for it in positives},
        alike=tuple(likeness[it] for it in positives),
    )


@dataclass(frozen=True)
class Lesson:
    """A way to read the log: values by pair, and the negatives that go with them."""

    values: Mapping[Key, float]
    negatives: Mapping[str, Sequence[HardNegative]]


def dataset(catalogue: Catalogue, shoppers: Shoppers, lesson: Lesson, taught: frozenset[str]) -> Dataset:
    """Return the data set of these queries: every fifth judged product is held out, by a fixed draw."""
    pairs = [
        Pair(
            query=shoppers.texts[key.query],
            product_id=key.product_id,
            value=value,
            grade=grade(value),
            impressions=sum(shoppers.counts[key].impressions.values()),
            split="in_domain" if is_held_out(shoppers.texts[key.query], key.product_id) else "train",
        )
        for key, value in lesson.values.items()
        if shoppers.texts[key.query] in taught
    ]
    mined = [it for query in taught & lesson.negatives.keys() for it in lesson.negatives[query]]
    return Dataset(
        Manifest(name="bench", ranges=(), generation=GENERATION),
        tuple(sorted(pairs, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(mined, key=lambda it: (it.query, it.product_id))),
        tuple(sorted(products(catalogue), key=lambda it: it.product_id)),
    )


def products(catalogue: Catalogue) -> list[Product]:
    """Return the catalogue's products; the text is the title."""
    return [Product(product_id=product.id, text=product.title) for product in catalogue.products]


def texts(catalogue: Catalogue) -> dict[str, str]:
    """Return each product's text by id."""
    return {product.product_id: product.text for product in products(catalogue)}


def is_held_out(query: str, product_id: str) -> bool:
    """Whether a pair is kept to be judged by: always the same answer for the same pair."""
    return bool(np.random.default_rng([*f"{query}\t{product_id}".encode()]).integers(HELD_OUT) == 0)
