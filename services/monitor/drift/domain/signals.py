"""What is watched: how it is measured from a window's tally, which way is bad, what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from services.monitor.drift.domain.detector import Direction
from services.monitor.drift.domain.features import FEATURES
from services.monitor.drift.domain.lexicon import Lexicon
from services.monitor.drift.domain.sample import SignalSample, features, quantile, rate
from services.monitor.drift.domain.tally import WindowTally

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


def samples(tally: WindowTally, words: Lexicon | None, number: int) -> dict[str, SignalSample]:
    """Return the sample of each signal that a window's tally says enough about.

    No lexicon: which words are new cannot be said yet.
    """
    by_signal: dict[str, SignalSample] = {
        name: rate(tally.count(hits), tally.count(trials))
        for name, (hits, trials) in _SHARES.items()
        if tally.count(trials)
    }
    if tally.words and words is not None:
        by_signal["new-terms"] = rate(words.unknown(tally.words, number), len(tally.words))
    if tally.similarities:
        by_signal["scores-median"] = quantile(tally.similarities, 0.5)
        by_signal["scores-p95"] = quantile(tally.similarities, 0.95)
    if tally.nearest:
        by_signal["nearest"] = quantile(tally.nearest, 0.5)
    for name, (total, count) in _SUMS.items():
        if tally.count(count):
            by_signal[name] = features(np.frombuffer(getattr(tally, total)), tally.count(count))
    return {name: sample for name, sample in by_signal.items() if sample.count >= SIGNALS[name].least}


def of_scope(by_signal: Mapping[str, SignalSample], signals: Mapping[str, Signal]) -> dict[str, SignalSample]:
    """Return the samples of these signals only."""
    return {name: sample for name, sample in by_signal.items() if name in signals}
