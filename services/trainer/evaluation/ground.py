"""What models are judged on: queries with grades, the products among which they are asked, and rankings."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from services.trainer.domain.dataset import EVALUATED, Dataset, Pair
from services.trainer.domain.verdict import HELD_OUT
from services.trainer.evaluation.codes import Code, Coded
from shared import quality
from shared.encoder.packing import pack
from shared.encoder.sentence import SentenceEncoder
from shared.ports import Vectors

CHUNK = 256
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ground:
    """Queries by text, with grades; `excluded` products are taken out of a query's ranking.

    They are those that the model has learned for this very query: to rank them high is no news.
    `slices` name parts of the queries.
    """

    name: str
    grades: quality.Grades
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    slices: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def queries(self) -> tuple[str, ...]:
        """Return the queries, sorted."""
        return tuple(sorted(self.grades))


@dataclass(frozen=True)
class Embedded:
    """A corpus and queries as one model sees them."""

    ids: Sequence[str]
    documents: Vectors
    queries: Mapping[str, Vectors]
    _coded: dict[Code, Coded] = field(default_factory=dict, repr=False)

    def coded(self, code: Code) -> Coded:
        """Return the documents in a code; the same one again."""
        if code not in self._coded:
            self._coded[code] = Coded(self.documents, code)
        return self._coded[code]

    def asked(self, ground: Ground) -> Vectors:
        """Return the vectors of a ground's queries."""
        return np.stack([self.queries[query] for query in ground.queries])

    def cosines(self, query: str, ids: Sequence[str]) -> list[float]:
        """Return the similarity of a query and some products."""
        found: list[float] = (self.documents[[self._places[it] for it in ids]] @ self.queries[query]).tolist()
        return found

    @cached_property
    def _places(self) -> dict[str, int]:
        return {product_id: place for place, product_id in enumerate(self.ids)}

    def ranked(self, ground: Ground, code: Code, *, depth: int = quality.DEPTH) -> dict[str, list[str]]:
        """Return the best products of each query, without those that are excluded."""
        room = depth + max(map(len, ground.excluded.values()), default=0)
        found = self.coded(code).search(self.asked(ground), depth=room)
        ranked = {}
        for query, row in zip(ground.queries, found, strict=True):
            excluded = ground.excluded.get(query, NOBODY)
            ids = (self.ids[number] for number in row)
            ranked[query] = [it for it in ids if it not in excluded][:depth]
        return ranked


def embed(encoder: SentenceEncoder, corpus: Mapping[str, str], queries: Sequence[str]) -> Embedded:
    """Embed products (text by id) and queries on every core; a text that comes twice is embedded once."""
    texts = sorted(set(corpus.values()), key=lambda text: (-len(text), text))
    numbers = pack([1] * len(texts), CHUNK)
    torch.set_num_threads(1)
    with ThreadPoolExecutor(encoder.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        parts = pool.map(lambda group: encoder.encode_documents([texts[it] for it in group]), numbers)
        rows = np.concatenate(list(parts)) if texts else np.empty((0, encoder.dimensions), np.float32)
    places = {text: place for place, text in enumerate(texts)}
    ids = sorted(corpus)
    asked = list(dict.fromkeys(queries))
    vectors = dict(zip(asked, encoder.encode_queries(asked), strict=True))
    return Embedded(ids, rows[[places[corpus[it]] for it in ids]], vectors)


def grounds(dataset: Dataset) -> Iterator[Ground]:
    """Yield everything that is held out as one; then each split of it, and what was judged last.

    A ground without pairs is left out.
    """
    held_out = dataset.of(*EVALUATED)
    parts: dict[str, Sequence[Pair]] = {HELD_OUT: held_out}
    parts |= {split: dataset.of(split) for split in EVALUATED}
    parts["late"] = [pair for pair in held_out if pair.late]
    for name, pairs in parts.items():
        if pairs:
            yield _ground(dataset, name, pairs)


def validation(dataset: Dataset) -> Ground:
    """Return the validation split: what thresholds and weights are fitted on, and nothing is judged by."""
    return _ground(dataset, "validation", dataset.of("validation"))


def _ground(dataset: Dataset, name: str, pairs: Sequence[Pair]) -> Ground:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for pair in pairs:
        grades[pair.query][pair.product_id] = quality.whole_grade(pair.grade)
    others: dict[str, set[str]] = defaultdict(set)
    for pair in dataset.pairs:
        if pair.query in grades and pair.product_id not in grades[pair.query]:
            others[pair.query].add(pair.product_id)
    excluded = {query: frozenset(found) for query, found in others.items()}
    return Ground(name, grades, excluded, _slices(pairs))


def _slices(pairs: Sequence[Pair]) -> dict[str, frozenset[str]]:
    """Return head, torso and tail (a third of the impressions each), languages and categories."""
    found: dict[str, set[str]] = defaultdict(set)
    shown: Counter[str] = Counter()
    for pair in pairs:
        shown[pair.query] += pair.impressions
    so_far = 0
    for query, impressions in sorted(shown.items(), key=lambda it: (-it[1], it[0])):
        third = min(2, 3 * so_far // shown.total()) if shown.total() else 2
        found[("head", "torso", "tail")[third]].add(query)
        so_far += impressions
    for name in ("language", "category"):
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for pair in pairs:
            votes[pair.query][getattr(pair, name)] += 1
        for query, counted in votes.items():
            most = max(counted, key=lambda it: (counted[it], it))
            if most:
                found[f"{name} {most}"].add(query)
    return {name: frozenset(queries) for name, queries in found.items()}
