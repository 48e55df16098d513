"""A shop whose traffic is stationary until told to drift: real embeddings, simulated days.

Queries and products are those of a catalogue, embedded once. A window's volume, its mix of topics and its
outcome rates follow the hour and the weekday; around that they scatter from window to window more than
sampling alone would explain, as real traffic does.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.cli.benchmarks.spanish import translated
from services.cli.simulation.catalogue import Catalogue
from services.monitor.domain.drift.features import transform
from services.monitor.domain.drift.sketches import sketch
from services.monitor.domain.drift.tally import SEED, Example, Tally, chosen, words_of
from shared.ports import Vectors

PRODUCTS, FRAGMENTS, LINE, TOPICS, TOP = 1500, 1500, 100, 8, 10
WEEK = 168
SHORT = 12
"""Characters that are left of a truncated title."""
GENERATION = "g1"
Encode = Callable[[Sequence[str]], Vectors]
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


@dataclass(frozen=True)
class Table:
    """Of every text that may be asked: its features and the similarities of the products it finds."""

    features: Vectors
    similar: Vectors


@dataclass(frozen=True)
class World:
    """Everything that was embedded; rows of the tables are texts."""

    texts: list[str]
    words: list[tuple[str, ...]]
    base: int
    """The first rows are what is asked while nothing drifts."""
    line: NDArray[np.int64]
    renamed: NDArray[np.int64]
    """Of each base row, the row of its text with the new brand name; itself when it names none."""
    spanish: NDArray[np.int64]
    topics: NDArray[np.int64]
    tables: Mapping[str, Table]
    documents: Mapping[str, Vectors]
    document_topics: NDArray[np.int64]
    titles: list[str]
    weak: float
    brand: str = ""
    zipf: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def build(catalogue: Catalogue, encode: Encode, *, seed: int) -> World:
    """Embed what the shop may ever be asked and sell."""
    rng = np.random.default_rng(seed)
    chosen_ = rng.permutation(len(catalogue.products))[: PRODUCTS + LINE]
    titles = [catalogue.products[int(at)].title[:300] for at in chosen_]
    vectors = encode(titles)
    order = np.argsort(vectors @ vectors[0])  # the line: the products most like one of them
    titles, vectors = [titles[at] for at in order], vectors[order]
    asked = [query.text for query in catalogue.queries]
    asked += [_fragment(titles[int(at)], rng) for at in rng.integers(0, PRODUCTS, FRAGMENTS)]
    line = [_fragment(title, rng) for title in titles[PRODUCTS:]]
    brand = _brand(asked, (product.brand for product in catalogue.products))
    renamed = [text.casefold().replace(brand, "zentoro") for text in asked]
    spanish = [translated(text) for text in asked]
    texts = [*asked, *line, *renamed, *spanish]
    rows = encode(texts)
    count = len(asked)
    base = np.arange(count)
    after = count + len(line)
    named = np.array([brand in text.casefold() for text in asked])
    axes = rng.standard_normal((rows.shape[1], 3))
    tables = _tables(rows, vectors, encode([title[:SHORT] for title in titles]), rng)
    return World(
        texts=texts,
        words=[tuple(words_of(text)) for text in texts],
        base=count,
        line=count + np.arange(len(line)),
        renamed=np.where(named, after + base, base),
        spanish=after + count + base,
        topics=_topics(rows[:count], axes),
        tables=tables,
        documents={
            "as ever": transform(vectors, seed=SEED),
            "truncated": transform(encode([title[:SHORT] for title in titles]), seed=SEED),
        },
        document_topics=_topics(vectors, axes),
        titles=titles,
        weak=float(np.quantile(tables["as ever"].similar[:count, 0], 0.1)),
        brand=brand,
        zipf=_popularity(count, rng),
    )


def _tables(rows: Vectors, products: Vectors, short: Vectors, rng: np.random.Generator) -> dict[str, Table]:
    noise = rng.standard_normal(rows.shape).astype(np.float32)
    noisy = rows + noise / np.linalg.norm(noise, axis=1, keepdims=True)
    flat = 0.05 * rows + rows.mean(axis=0)
    sold = products[:PRODUCTS]
    queries = {
        "as ever": (rows, sold),
        "broken encoder: noise": (noisy, sold),
        "broken encoder: permuted": (np.roll(rows, 1, axis=1), sold),
        "broken encoder: flat": (flat, sold),
        "truncated titles": (rows, short[:PRODUCTS]),
        "new product line": (rows, products),
    }
    return {name: _table(asked, offered) for name, (asked, offered) in queries.items()}


def _table(asked: Vectors, offered: Vectors) -> Table:
    unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    best = -np.sort(-(unit @ offered.T), axis=1)[:, :TOP]
    return Table(transform(unit.astype(np.float32), seed=SEED), best.astype(np.float32))


def _fragment(title: str, rng: np.random.Generator) -> str:
    words = title.split()
    length = int(rng.integers(2, 5))
    begin = int(rng.integers(0, max(1, len(words) - length)))
    return " ".join(words[begin : begin + length]).strip(" ,-|()") or title[:40]


def _brand(texts: Sequence[str], brands: Iterable[str]) -> str:
    """Return the brand that is named in most of the texts."""
    counts = Counter(word for text in texts for word in words_of(text))
    names = {brand.casefold() for brand in brands if len(brand) > 3}
    return max(sorted(names), key=lambda brand: counts[brand], default="")


def _topics(rows: Vectors, axes: NDArray[np.float64]) -> NDArray[np.int64]:
    signs = (rows - rows.mean(axis=0)) @ axes > 0
    topics: NDArray[np.int64] = signs @ np.array([1, 2, 4])
    return topics


def _popularity(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    shares = 1 / (rng.permutation(count) + 10.0)
    popularity: NDArray[np.float64] = shares / shares.sum()
    return popularity


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
    ) -> tuple[Tally, int]:
        """Return the tally of window `number` (of the week: modulo 168), and how many queries it saw.

        `progress` is how far the scenario has come, 0 to 1.
        """
        rng, world, hour = self._rng, self._world, number % WEEK
        what = scenario.name if scenario is not None and progress > 0 else "as ever"
        count = int(rng.poisson(self._volume[hour]))
        mix = self._mix[hour] * rng.gamma(100, 0.01, TOPICS)
        rows = self._draw(world.zipf * mix[world.topics], count)
        rows = self._drifted(rows, what, progress)
        table = world.tables.get(what, world.tables["as ever"])
        similar = table.similar[rows]
        counts = self._outcomes(hour, count, what)
        counts |= {"vectors": count, "scored": count, "weak": int((similar[:, 0] < world.weak).sum())}
        documents, titles = self._documents(mix, what, progress)
        counts["documents"] = len(titles)
        words = Counter(word for row in rows.tolist() for word in world.words[row])
        words.update(f"w{word}" for word in rng.zipf(1.25, count // 20).tolist())
        tally = Tally.model_construct(
            counts=counts,
            similarities=sketch(similar.ravel()),
            nearest=sketch(1 - similar[:, 0]),
            queries=table.features[rows].sum(axis=0, dtype=np.float64).tobytes(),
            documents=documents.sum(axis=0, dtype=np.float64).tobytes(),
            words=words,
            query_examples=self._examples(rows, table) if what != "as ever" else (),
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
        pool = world.documents["truncated" if what == "truncated titles" else "as ever"]
        return pool[rows], [world.titles[row] for row in rows.tolist()]

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

    def _examples(self, rows: NDArray[np.int64], table: Table) -> tuple[Example, ...]:
        return chosen(
            Example(
                text=self._world.texts[row],
                similarity=float(table.similar[row, 0]),
                features=table.features[row].astype(np.float16).tobytes(),
            )
            for row in rows[:100].tolist()
        )
