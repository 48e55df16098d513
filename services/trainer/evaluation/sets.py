"""What models are judged on: queries with grades, the products among which they are asked, and answers."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from services.trainer.dataset.domain.dataset import EVALUATED, Dataset, TrainingPair
from services.trainer.evaluation.codes import Code, Coded
from services.trainer.evaluation.domain.figures import HELD_OUT
from shared.arrays import Vectors
from shared.catalogue.plain_text import normal_form
from shared.encoder.packing import pack
from shared.encoder.passages import Cut
from shared.generations.product_texts import cutter
from shared.ports import Encoder
from shared.retrieval import quality

CHUNK = 256
ALIKE = 0.9999
"""Mean cosine of two products' vectors above which they are all the same."""
FARTHEST = -2.0
"""How near a product is that has no passage: an index does not have it."""
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EvaluationSet:
    """Queries by text, with grades; `excluded` products are taken out of a query's ranking.

    They are those that the model has learned for this very query: to rank them high is no news.
    `slices` name parts of the queries. `shown` are products that shoppers were shown and nobody graded.
    """

    name: str
    grades: quality.Grades
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    slices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    shown: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def queries(self) -> tuple[str, ...]:
        """Return the queries, sorted."""
        return tuple(sorted(self.grades))

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Return the queries of which nothing is excluded: their first pages are judged as they are."""
        return tuple(query for query in self.queries if not self.excluded.get(query))

    def ever_shown(self, query: str) -> frozenset[str]:
        """Return every product that is known to have been shown for the query, or graded."""
        others = self.excluded.get(query, NOTHING) | self.shown.get(query, NOTHING)
        return others | self.grades[query].keys()

    def judged_part(self, nearest: quality.Rankings, depth: int = quality.DEPTH) -> dict[str, list[str]]:
        """Return the rankings without what is excluded, cut to a depth."""
        return {
            query: [item for item in row if item not in self.excluded.get(query, NOTHING)][:depth]
            for query, row in nearest.items()
        }


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answers to the queries of a set.

    `pages` are the first pages as a shopper would see them; `ranked` are the best products without what is
    excluded; `ordered` are the graded products alone, all of them, in the model's order.
    """

    pages: quality.Rankings
    ranked: quality.Rankings
    ordered: quality.Rankings


@dataclass(frozen=True)
class EmbeddedCorpus:
    """A corpus and queries as one model sees them.

    `documents` has the passages of the products, in their order; `counts` says how many each has, and is left
    out where each has one. A product is as near as its nearest passage.
    """

    ids: Sequence[str]
    documents: Vectors
    queries: Mapping[str, Vectors]
    counts: NDArray[np.int64] | None = None
    _coded: dict[Code, Coded] = field(default_factory=dict, repr=False)

    @property
    def dimensions(self) -> int:
        """Return the size of the vectors."""
        return int(self.documents.shape[1])

    def coded(self, code: Code) -> Coded:
        """Return the documents in a code; the same one again."""
        if code not in self._coded:
            self._coded[code] = Coded(self.documents, code)
        return self._coded[code]

    def query_vectors(self, evaluation_set: EvaluationSet) -> Vectors:
        """Return the vectors of a set's queries."""
        return np.stack([self.queries[query] for query in evaluation_set.queries])

    def nearness(self, query: str) -> Vectors:
        """Return the similarity of a query and every product."""
        cosines: Vectors = self.documents @ self.queries[query]
        return cosines if self.counts is None else nearest_passages(cosines, self.counts)

    def cosines(self, query: str, ids: Sequence[str]) -> list[float]:
        """Return the similarity of a query and some products."""
        places = [self._places[product_id] for product_id in ids]
        if self.counts is None:
            cosines: list[float] = (self.documents[places] @ self.queries[query]).tolist()
            return cosines
        counts, ends = self.counts[places], self._ends[places]
        spans = [range(end - count, end) for count, end in zip(counts.tolist(), ends.tolist(), strict=True)]
        rows = self.documents[[row for span in spans for row in span]]
        near: list[float] = nearest_passages(rows @ self.queries[query], counts).tolist()
        return near

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Behind which row the passages of each product end."""
        counts = np.ones(len(self.ids), np.int64) if self.counts is None else self.counts
        return np.cumsum(counts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {product_id: place for place, product_id in enumerate(self.ids)}

    def ordered(self, query: str, ids: Collection[str]) -> list[str]:
        """Return those of the products that there are, best first."""
        there = sorted(self._places.keys() & ids)
        cosines = dict(zip(there, self.cosines(query, there), strict=True))
        return sorted(there, key=lambda product_id: (-cosines[product_id], product_id))

    def nearest(
        self, evaluation_set: EvaluationSet, code: Code, *, depth: int = quality.DEPTH
    ) -> dict[str, list[str]]:
        """Return the best products of each query: so many, and as many more as are excluded of any."""
        room = depth + max(map(len, evaluation_set.excluded.values()), default=0)
        most = 1 if self.counts is None else int(self.counts.max(initial=1))
        numbers = self.coded(code).search(self.query_vectors(evaluation_set), depth=most * room)
        if self.counts is not None:
            numbers = np.repeat(np.arange(len(self.ids)), self.counts)[numbers]
        return {
            query: [self.ids[place] for place in dict.fromkeys(row.tolist())][:room]
            for query, row in zip(evaluation_set.queries, numbers, strict=True)
        }

    def ranked(
        self, evaluation_set: EvaluationSet, code: Code, *, depth: int = quality.DEPTH
    ) -> dict[str, list[str]]:
        """Return the best products of each query, without those that are excluded."""
        return evaluation_set.judged_part(self.nearest(evaluation_set, code, depth=depth), depth)

    def answers(self, evaluation_set: EvaluationSet, nearest: quality.Rankings) -> Answers:
        """Return the answers of which `nearest` are the best, nothing excluded; the rest is by cosine."""
        ordered = {}
        for query, grades in evaluation_set.grades.items():
            best = [product_id for product_id in nearest[query] if product_id in grades]
            ordered[query] = [*best, *self.ordered(query, grades.keys() - {*best})]
        pages = {query: row[: quality.FIRST_PAGE] for query, row in nearest.items()}
        return Answers(pages, evaluation_set.judged_part(nearest), ordered)

    @property
    def is_degenerate(self) -> bool:
        """Whether all products have nearly the same vector, so that no query tells them apart."""
        if len(self.documents) < 2:
            return False
        mean_cosine = float((self.documents.mean(axis=0, dtype=np.float64) ** 2).sum())
        return mean_cosine > ALIKE


def nearest_passages(cosines: Vectors, counts: NDArray[np.int64]) -> Vectors:
    """Return the greatest of the cosines of each product's passages; of a product without any, the least."""
    nearness: Vectors = np.full(len(counts), FARTHEST, np.float32)
    np.maximum.at(nearness, np.repeat(np.arange(len(counts)), counts), cosines)
    return nearness


def embed(
    encoder: Encoder, corpus: Mapping[str, str], queries: Sequence[str], *, cut: Cut | None = None
) -> EmbeddedCorpus:
    """Embed products (text by id) and queries on every core; a text that comes twice is embedded once.

    Texts are cut into passages as the embedder cuts them; without `cut`, each is one.
    """
    ids = sorted(corpus)
    if cut is None:
        passages = [[corpus[product_id]] for product_id in ids]
    else:
        divide = cutter(cut, encoder)
        passages = [divide(corpus[product_id]).texts(corpus[product_id]) for product_id in ids]
    texts = sorted(
        {text for of_product in passages for text in of_product}, key=lambda text: (-len(text), text)
    )
    numbers = pack([1] * len(texts), CHUNK)
    torch.set_num_threads(1)
    with ThreadPoolExecutor(encoder.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        parts = pool.map(lambda group: encoder.encode_documents([texts[number] for number in group]), numbers)
        rows = np.concatenate(list(parts)) if texts else np.empty((0, encoder.dimensions), np.float32)
    places = {text: place for place, text in enumerate(texts)}
    unique = list(dict.fromkeys(queries))
    vectors = dict(zip(unique, encoder.encode_queries([*map(normal_form, unique)]), strict=True))
    documents = rows[[places[text] for of_product in passages for text in of_product]]
    counts = np.fromiter(map(len, passages), np.int64, len(passages))
    return EmbeddedCorpus(ids, documents, vectors, None if (counts == 1).all() else counts)


def evaluation_sets(dataset: Dataset) -> Iterator[EvaluationSet]:
    """Yield everything that is held out as one; then each split of it, and what was judged last.

    A set without pairs is left out.
    """
    held_out = dataset.of(*EVALUATED)
    parts: dict[str, Sequence[TrainingPair]] = {HELD_OUT: held_out}
    parts |= {split: dataset.of(split) for split in EVALUATED}
    parts["late"] = [pair for pair in held_out if pair.late]
    for name, pairs in parts.items():
        if pairs:
            yield _evaluation_set(dataset, name, pairs)


def validation_set(dataset: Dataset) -> EvaluationSet:
    """Return the validation split: what thresholds and weights are fitted on, and nothing is judged by."""
    return _evaluation_set(dataset, "validation", dataset.of("validation"))


def _evaluation_set(dataset: Dataset, name: str, pairs: Sequence[TrainingPair]) -> EvaluationSet:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for pair in pairs:
        grades[pair.query][pair.product_id] = quality.whole_grade(pair.grade)
    others: dict[str, set[str]] = defaultdict(set)
    for pair in dataset.pairs:
        if pair.query in grades and pair.product_id not in grades[pair.query]:
            others[pair.query].add(pair.product_id)
    excluded = {query: frozenset(product_ids) for query, product_ids in others.items()}
    shown = {row.query: frozenset(row.product_ids) for row in dataset.shown if row.query in grades}
    return EvaluationSet(name, grades, excluded, _slices(pairs), shown)


def _slices(pairs: Sequence[TrainingPair]) -> dict[str, frozenset[str]]:
    """Return head, torso and tail (a third of the impressions each), languages and categories."""
    slices = _by_impressions(pairs)
    for name in ("language", "category"):
        slices |= _by_attribute(pairs, name)
    return {name: frozenset(queries) for name, queries in slices.items()}


def _by_impressions(pairs: Sequence[TrainingPair]) -> dict[str, set[str]]:
    impressions: Counter[str] = Counter()
    for pair in pairs:
        impressions[pair.query] += pair.impressions
    total, so_far = impressions.total(), 0
    slices: dict[str, set[str]] = defaultdict(set)
    for query, count in sorted(impressions.items(), key=lambda item: (-item[1], item[0])):
        third = min(2, 3 * so_far // total) if total else 2
        slices[("head", "torso", "tail")[third]].add(query)
        so_far += count
    return slices


def _by_attribute(pairs: Sequence[TrainingPair], name: str) -> dict[str, set[str]]:
    """Return the queries by what most of their products have in an attribute; those with nothing are left."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        votes[pair.query][getattr(pair, name)] += 1
    slices: dict[str, set[str]] = defaultdict(set)
    for query, counts in votes.items():
        most = max(counts, key=lambda value: (counts[value], value))
        if most:
            slices[f"{name} {most}"].add(query)
    return slices
