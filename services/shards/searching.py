"""How shards are searched: the nearest vectors, the best words, and both scores of whatever either finds.

All shards that are asked at once are searched as one: words are counted over all of them, and the `k` best
are the `k` best of all. So which product lies in which shard changes no score, and no list.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.filters import Filter
from schemas.search_api import Mode
from schemas.shard_api import ShardHit
from services.shards.domain.bitmap import Mask
from services.shards.live_recall import RecallSampler, RecentQueries
from services.shards.nearest import RowScores, nearest_rows, scores_of_rows
from services.shards.part import PartView
from services.shards.rows import Floats, Integers
from shared.catalogue.plain_text import normal_form
from shared.retrieval.bm25 import CorpusStatistics, Scores, WeightedTerms, frequencies
from shared.retrieval.selection import least_of_best
from shared.retrieval.text import Analyzer, Terms

REPEATED = 1000
"""One of so many searches by codes is done again exactly, so that the recall of what is live is known."""
NO_PLACES = np.empty(0, np.int64)
NO_SCORES = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewQuery:
    """What shards are asked; `vector` is a unit float32 row of their dimensions, or None."""

    vector: Floats | None = None
    text: str | None = None
    k: int = 10
    mode: Mode = "hybrid"
    filters: Sequence[Filter] = ()
    exact: bool = False

    @property
    def dense(self) -> bool:
        """Whether nearest vectors are asked for."""
        return self.vector is not None and self.mode != "lexical"

    @property
    def lexical(self) -> bool:
        """Whether words are asked for."""
        return bool(self.text) and self.mode != "dense"


class WordStatistics(NamedTuple):
    """What scores of words are made by: the corpus, and in how many of its documents each term is."""

    corpus: CorpusStatistics
    terms: Terms
    frequencies: Integers


class Searchable(Protocol):
    """A moment of a shard."""

    @property
    def parts(self) -> Sequence[PartView]:
        """What it consists of."""
        ...

    @property
    def dimensions(self) -> int | None:
        """Of its vectors."""
        ...

    @property
    def title_weight(self) -> float:
        """As how many words of the body a word of a title counts."""
        ...

    @property
    def queries(self) -> RecentQueries:
        """What was asked of late."""
        ...


class ShardScores(NamedTuple):
    """The candidates of one shard: which part, which place in it, both scores (NaN: none), which passage."""

    parts: NDArray[np.int32]
    places: Integers
    dense: Floats
    lexical: Floats
    passages: Integers

    def position(self, part: int, place: int) -> int | None:
        """Return which candidate a place is; None: it is none."""
        same = np.flatnonzero((self.parts == part) & (self.places == place))
        return int(same[0]) if same.size else None


@dataclass(slots=True)
class _Source:
    """A part of one of the shards, and what of it is a candidate so far."""

    shard: int
    number: int
    part: PartView
    allowed: Mask
    near: RowScores = field(default_factory=lambda: RowScores(NO_PLACES, NO_SCORES, NO_PLACES))
    words_of_near: Floats = field(default_factory=lambda: NO_SCORES)
    worded: Integers = field(default_factory=lambda: NO_PLACES)
    words: Floats = field(default_factory=lambda: NO_SCORES)


class _Local(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.scores = Scores()


_local = _Local()
_sampler = RecallSampler(every=REPEATED)
_analyzer = Analyzer()


def terms_of(text: str) -> Terms:
    """Return the terms of a query as it was typed."""
    return _analyzer.of_query(normal_form(text))


def word_statistics(shards: Sequence[Searchable], terms: Terms) -> WordStatistics:
    """Return what these shards say of the terms."""
    parts = [part for shard in shards for part in shard.parts]
    corpus = CorpusStatistics.total([part.statistics for part in parts])
    return WordStatistics(corpus, terms, frequencies([part.text for part in parts], terms))


def search(
    shards: Sequence[Searchable], query: ViewQuery, statistics: WordStatistics | None = None
) -> list[ShardScores]:
    """Return of each shard its candidates: of the best `k` of all by vector, and of those by words.

    `statistics` are those of all shards there are; None: these are all.
    """
    sources = [
        _Source(shard, number, part, part.allowed(query.filters))
        for shard, view in enumerate(shards)
        for number, part in enumerate(view.parts)
    ]
    if query.dense and query.k > 0:
        _find_near(sources, query, dimensions=[view.dimensions for view in shards])
        for view in shards:
            if query.vector is not None:
                view.queries.add(query.vector)
    if query.lexical and query.text and query.k > 0:
        weighted = _weighted(shards, query.text, statistics)
        _find_worded(sources, query, weighted)
    by_shard: list[list[ShardScores]] = [[] for _ in shards]
    for source in sources:
        by_shard[source.shard].append(_together(source, query))
    return [_joined(pieces) for pieces in by_shard]


def hits_of(shard: Searchable, scores: ShardScores) -> list[ShardHit]:
    """Return candidates as they are shown, with their attributes, best dense score first."""
    hits = []
    for number, place, dense, lexical, passage in zip(*(column.tolist() for column in scores), strict=True):
        part = shard.parts[number]
        hits.append(
            ShardHit(
                product_id=part.product_id(place),
                dense=None if np.isnan(dense) else dense,
                lexical=None if np.isnan(lexical) else lexical,
                passage=passage,
                segment=part.name,
                offset=int(part.offsets[place]),
                fields=orjson.loads(part.fields(place)),
            )
        )
    return sorted(hits, key=_best_first)


def _find_near(sources: Sequence[_Source], query: ViewQuery, dimensions: Sequence[int | None]) -> None:
    vector = query.vector
    if vector is None:
        return
    searched = [source for source in sources if vector.shape == (dimensions[source.shard],)]
    for source in searched:
        source.near = nearest_rows(source.part, vector, query.k, allowed=source.allowed, exact=query.exact)
    chosen = _best_of_all([source.near.scores for source in sources], query.k, _names(sources, _near))
    for source, best in zip(sources, chosen, strict=True):
        source.near = source.near.taken(best)
    if not query.exact and any(source.part.funnel for source in searched) and _sampler.due():
        _measure_recall(searched, vector, query.k)


def _measure_recall(sources: Sequence[_Source], vector: Floats, k: int) -> None:
    """Do the search again, exactly, and count how much of it was found."""
    exact = [
        nearest_rows(source.part, vector, k, allowed=source.allowed, exact=True).scores for source in sources
    ]
    near = [source.near.scores for source in sources]
    answer, best = (np.sort(np.concatenate(pieces))[::-1][:k] for pieces in (near, exact))
    _sampler.observe(answer, best)


def _find_worded(sources: Sequence[_Source], query: ViewQuery, weighted: WeightedTerms) -> None:
    room = _local.scores
    for source in sources:
        room.fill(source.part.text, weighted)
        source.worded, source.words = room.best(query.k, source.allowed)
        source.words_of_near = room.of(source.near.places)
    chosen = _best_of_all([source.words for source in sources], query.k, _names(sources, _worded))
    for source, best in zip(sources, chosen, strict=True):
        source.worded, source.words = source.worded[best], source.words[best]


def _weighted(shards: Sequence[Searchable], text: str, statistics: WordStatistics | None) -> WeightedTerms:
    known = statistics or word_statistics(shards, terms_of(text))
    weight = shards[0].title_weight if shards else 1.0
    return WeightedTerms.of(known.terms, known.frequencies, known.corpus, title_weight=weight)


def _near(source: _Source) -> Integers:
    return source.near.places


def _worded(source: _Source) -> Integers:
    return source.worded


def _names(sources: Sequence[_Source], places: Callable[[_Source], Integers]) -> Callable[[int, int], bytes]:
    """Return what names a candidate: the number of its source, and its own there."""
    return lambda source, number: bytes(sources[source].part.ids[places(sources[source])[number]])


def _best_of_all(pieces: Sequence[Floats], k: int, name: Callable[[int, int], bytes]) -> Iterator[Mask]:
    """Yield which of each piece are among the `k` highest of all; of equal ones those of the first names."""
    scores = np.concatenate([*pieces, NO_SCORES])
    chosen = np.ones(len(scores), np.bool_)
    edges = [0, *np.cumsum([len(piece) for piece in pieces]).tolist()]
    if k < len(scores):
        least = least_of_best(scores, k)
        chosen = scores > least
        equal = np.flatnonzero(scores == least).tolist()
        numbers = np.searchsorted(edges, equal, side="right") - 1
        named = sorted(
            (name(source, at - edges[source]), at) for source, at in zip(numbers.tolist(), equal, strict=True)
        )
        chosen[[at for _, at in named[: k - int(chosen.sum())]]] = True
    for start, end in pairwise(edges):
        yield chosen[start:end]


def _together(source: _Source, query: ViewQuery) -> ShardScores:
    """Return the candidates of a part, each once and with both scores."""
    near, part = source.near, source.part
    nearby = set(near.places.tolist())  # few: for so few NumPy takes longer
    others = np.array([place not in nearby for place in source.worded.tolist()], np.bool_)
    worded, words = source.worded[others], source.words[others]
    more = RowScores(worded, np.full(len(worded), np.nan, np.float32), np.zeros(len(worded), np.int64))
    if query.dense and query.vector is not None and query.vector.shape == part.rows.vectors.shape[1:]:
        more = scores_of_rows(part, query.vector, worded)
    of_near = source.words_of_near if len(source.words_of_near) else np.zeros(len(near.places), np.float32)
    lexical = np.concatenate([of_near, words])
    places = np.concatenate([near.places, more.places])
    rows = np.concatenate([near.rows, more.rows])
    return ShardScores(
        np.full(len(places), source.number, np.int32),
        places,
        np.concatenate([near.scores, more.scores]),
        np.where(lexical > 0, lexical, np.float32(np.nan)),
        np.maximum(rows - part.rows.starts[places], 0),
    )


def _joined(pieces: Sequence[ShardScores]) -> ShardScores:
    nothing = ShardScores(np.empty(0, np.int32), NO_PLACES, NO_SCORES, NO_SCORES, NO_PLACES)
    return ShardScores(*map(np.concatenate, zip(nothing, *pieces, strict=True)))


def _best_first(hit: ShardHit) -> tuple[float, float, str]:
    dense = hit.dense if hit.dense is not None else -np.inf
    return -dense, -(hit.lexical or 0.0), hit.product_id
