"""A shop whose traffic is stationary until told to drift: real embeddings, simulated days.

A window's volume, its mix of topics and its
outcome rates follow the hour and the weekday; around that they scatter from window to window more than
sampling alone would explain, as real traffic does.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.lab.benchmarks.drifting_world import AS_EVER, LINE, PRODUCTS, TOPICS, QueryTable, World
from services.monitor.drift.domain.sketches import sketch
from services.monitor.drift.domain.tally import Example, WindowTally, kept_examples
from shared.arrays import Vectors

WEEK = 168
GENERATION = "g1"
Kind = Literal["bug", "drift", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to the shop; a `bug` comes at once and with a deployment, `drift` over `ramp` windows."""

    name: str
    kind: Kind
    ramp: int = 1
    deployed: bool = False


SCENARIOS = (
    Scenario(name="broken encoder: noise", kind="bug", deployed=True),
    Scenario(name="broken encoder: permuted", kind="bug", deployed=True),
    Scenario(name="broken encoder: flat", kind="bug", deployed=True),
    Scenario(name="truncated titles", kind="bug", deployed=True),
    Scenario(name="new product line", kind="drift", ramp=14 * 24),
    Scenario(name="renamed brand", kind="drift", ramp=14 * 24),
    Scenario(name="query language", kind="drift", ramp=14 * 24),
    Scenario(name="campaign", kind="unknown"),
)


class Shop:
    """Makes the tally of one window after the other."""

    def __init__(self, world: World, seed: int, *, busiest: int = 500) -> None:
        self._world = world
        self._rng = np.random.default_rng(seed)
        hours = np.arange(WEEK)
        day, week = hours * 2 * np.pi / 24, hours * 2 * np.pi / WEEK
        self._volume = busiest * (0.55 + 0.38 * np.sin(day - 1.8)) * (1 + 0.15 * np.sin(week))
        turn = self._rng.uniform(0, 2 * np.pi, TOPICS)
        self._mix = np.exp(0.5 * np.sin(day[:, None] + turn) + 0.2 * np.sin(week[:, None] + 2 * turn))
        self._clicks = 0.10 * (1 + 0.15 * np.sin(day + 0.5))
        self._empty = 0.02 * (1 + 0.3 * np.sin(day))

    def tally(
        self, number: int, scenario: Scenario | None = None, progress: float = 0.0
    ) -> tuple[WindowTally, int]:
        """Return the tally of window `number` (of the week: modulo 168), and how many queries it saw.

        `progress` is how far the scenario has come, 0 to 1.
        """
        rng, world, hour = self._rng, self._world, number % WEEK
        what = scenario.name if scenario is not None and progress > 0 else AS_EVER
        count = int(rng.poisson(self._volume[hour]))
        mix = self._mix[hour] * rng.gamma(100, 0.01, TOPICS)
        rows = self._draw(world.popularity * mix[world.topics], count)
        rows = self._drifted(rows, what, progress)
        table = world.tables.get(what, world.tables[AS_EVER])
        similar = table.similar[rows]
        counts = self._outcomes(hour, count, what)
        counts |= {"vectors": count, "scored": count, "weak": int((similar[:, 0] < world.weak).sum())}
        documents, titles = self._documents(mix, what, progress)
        counts["documents"] = len(titles)
        words = Counter(word for row in rows.tolist() for word in world.words[row])
        words.update(f"w{word}" for word in rng.zipf(1.25, count // 20).tolist())
        tally = WindowTally.model_construct(
            counts=counts,
            similarities=sketch(similar.ravel()),
            nearest=sketch(1 - similar[:, 0]),
            queries=table.features[rows].sum(axis=0, dtype=np.float64).tobytes(),
            documents=documents.sum(axis=0, dtype=np.float64).tobytes(),
            words=words,
            query_examples=self._examples(rows, table) if what != AS_EVER else (),
            document_examples=(),
            fingerprints=frozenset({"0" * 16}),
        )
        return tally, count

    def _draw(self, weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
        ladder = np.cumsum(weights)
        rows: NDArray[np.int64] = np.searchsorted(ladder, self._rng.random(count) * ladder[-1])
        return rows

    def _drifted(self, rows: NDArray[np.int64], what: str, progress: float) -> NDArray[np.int64]:
        world, touched = self._world, self._rng.random(len(rows))
        if what == "new product line":
            lines = self._rng.choice(world.line, len(rows))
            return np.where(touched < 0.15 * progress, lines, rows)
        if what == "renamed brand":
            return np.where(touched < progress, world.renamed[rows], rows)
        if what == "query language":
            return np.where(touched < 0.3 * progress, world.spanish[rows], rows)
        if what == "campaign":
            return np.where(touched < 0.15, world.line[:10][rows % 10], rows)
        return rows

    def _documents(self, mix: NDArray[np.float64], what: str, progress: float) -> tuple[Vectors, list[str]]:
        world = self._world
        count = int(self._rng.poisson(60))
        rows = self._draw(mix[world.document_topics] * (np.arange(len(world.titles)) < PRODUCTS), count)
        if what == "new product line":
            lines = PRODUCTS + self._rng.integers(0, LINE, count)
            rows = np.where(self._rng.random(count) < 0.3 * progress, lines, rows)
        features = world.documents.get(what, world.documents[AS_EVER])
        return features[rows], [world.titles[row] for row in rows.tolist()]

    def _outcomes(self, hour: int, count: int, what: str) -> dict[str, int]:
        """Return what shoppers did; a broken encoder shows them products that they do not click."""
        rng, shown = self._rng, 10 * count
        worse = 0.5 if what.startswith("broken") else 0.9 if what == "truncated titles" else 1.0
        clicks = int(rng.binomial(shown, worse * min(0.9, self._clicks[hour] * rng.gamma(400, 1 / 400))))
        carts = int(rng.binomial(clicks, 0.2))
        return {
            "shown": shown,
            "click": clicks,
            "add_to_cart": carts,
            "purchase": int(rng.binomial(carts, 0.4)),
            "answers": count,
            "empty": int(rng.binomial(count, self._empty[hour])),
            "probed": 200,
            "recalled": int(rng.binomial(200, 0.985)),
            "canaries_expected": 40,
            "canaries_found": int(rng.binomial(40, 0.4 if what.startswith("broken") else 0.985)),
        }

    def _examples(self, rows: NDArray[np.int64], table: QueryTable) -> tuple[Example, ...]:
        return kept_examples(
            Example(
                text=self._world.texts[row],
                similarity=float(table.similar[row, 0]),
                features=table.features[row].astype(np.float16).tobytes(),
            )
            for row in rows[:100].tolist()
        )
