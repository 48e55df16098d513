"""What is watched: how a window's tally is read, which way is bad, what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from services.monitor.domain.drift.detector import Direction
from services.monitor.domain.drift.features import FEATURES
from services.monitor.domain.drift.lexicon import Lexicon
from services.monitor.domain.drift.reading import Reading, features, quantile, rate
from services.monitor.domain.drift.tally import Tally

Advice = Literal["retrain", "re-index", "look"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that may drift; `least` is the count below which a window says nothing about it."""

    name: str
    words: str
    direction: Direction = "both"
    least: int = 50
    dimensions: int = 1
    drifting: Advice = "look"
    """What helps when it drifts."""


MODEL_SIGNALS = {
    signal.name: signal
    for signal in (
        Signal(
            name="query-embeddings",
            words="what shoppers ask (embeddings of queries)",
            direction="up",
            dimensions=FEATURES,
            drifting="retrain",
        ),
        Signal(
            name="document-embeddings",
            words="what is written to the catalogue (embeddings of products)",
            direction="up",
            least=20,
            dimensions=FEATURES,
            drifting="retrain",
        ),
        Signal(name="scores-median", words="the median similarity of products shown", drifting="retrain"),
        Signal(name="scores-p95", words="the 95th percentile of the similarity of products shown", least=100),
        Signal(name="nearest", words="the distance of queries to their nearest product", drifting="retrain"),
        Signal(
            name="weak-answers",
            words="the share of queries whose best product is below the threshold",
            direction="up",
            drifting="retrain",
        ),
        Signal(
            name="ann-recall",
            words="recall of the index against an exact scan",
            direction="down",
            drifting="re-index",
        ),
        Signal(name="canary-recall", words="recall of the canaries", direction="down", least=1),
    )
}
"""Those that depend on the model: they begin anew with each."""

SHOP_SIGNALS = {
    signal.name: signal
    for signal in (
        Signal(name="click-rate", words="clicks a product shown", drifting="retrain"),
        Signal(name="cart-rate", words="products put in the cart a product shown", drifting="retrain"),
        Signal(name="purchase-rate", words="purchases a product shown", drifting="retrain"),
        Signal(name="zero-results", words="the share of searches that find nothing", direction="up"),
        Signal(
            name="new-terms",
            words="the share of query words never seen before",
            direction="up",
            drifting="retrain",
        ),
    )
}
"""Those that go on from model to model."""

SIGNALS = {**MODEL_SIGNALS, **SHOP_SIGNALS}
_SHARES = {
    "click-rate": ("click", "shown"),
    "cart-rate": ("add_to_cart", "shown"),
    "purchase-rate": ("purchase", "shown"),
    "zero-results": ("empty", "answers"),
    "weak-answers": ("weak", "scored"),
    "ann-recall": ("recalled", "probed"),
    "canary-recall": ("canaries_found", "canaries_expected"),
}
_SUMS = {"query-embeddings": ("queries", "vectors"), "document-embeddings": ("documents", "documents")}


def readings(tally: Tally, words: Lexicon | None, number: int) -> dict[str, Reading]:
    """Return what a window's tally says, of the signals that it says enough about.

    No lexicon: which words are new cannot be said yet.
    """
    found: dict[str, Reading] = {
        name: rate(tally.count(hits), tally.count(trials))
        for name, (hits, trials) in _SHARES.items()
        if tally.count(trials)
    }
    if tally.words and words is not None:
        found["new-terms"] = rate(words.unknown(tally.words, number), len(tally.words))
    if tally.similarities:
        found["scores-median"] = quantile(tally.similarities, 0.5)
        found["scores-p95"] = quantile(tally.similarities, 0.95)
    if tally.nearest:
        found["nearest"] = quantile(tally.nearest, 0.5)
    for name, (total, count) in _SUMS.items():
        if tally.count(count):
            found[name] = features(np.frombuffer(getattr(tally, total)), tally.count(count))
    return {name: reading for name, reading in found.items() if reading.count >= SIGNALS[name].least}


def of_scope(found: Mapping[str, Reading], signals: Mapping[str, Signal]) -> dict[str, Reading]:
    """Return the readings of these signals only."""
    return {name: reading for name, reading in found.items() if name in signals}
