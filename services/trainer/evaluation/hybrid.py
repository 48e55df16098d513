"""Words beside vectors: which weight suits a model when both are fused, as search does it."""

from collections.abc import Mapping, Sequence

import tantivy

from services.trainer.evaluation.domain.fitting import dense_weight
from services.trainer.evaluation.sets import EmbeddedCorpus, EvaluationSet
from shared.retrieval import quality
from shared.retrieval.fusion import weighted

DEPTH = 100
"""Candidates by vector and by words."""


class Words:
    """A BM25 index of texts, in memory."""

    def __init__(self, corpus: Mapping[str, str]) -> None:
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("id", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", tokenizer_name="en_stem")
        self._index = tantivy.Index(schema.build())
        writer = self._index.writer(num_threads=1)
        for product_id, text in sorted(corpus.items()):
            writer.add_document(tantivy.Document(id=product_id, text=text))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def scores(self, query: str) -> dict[str, float]:
        """Return the scores of the best products."""
        parsed, _ = self._index.parse_query_lenient(query, ["text"])
        hits = self._searcher.search(parsed, DEPTH).hits
        return {self._searcher.doc(address)["id"][0]: score for score, address in hits}


def ranked(embedded: EmbeddedCorpus, query: str, words: Words, *, weight: float) -> list[str]:
    """Return the products that hybrid search answers with, best first."""
    return _fused(*_candidates(embedded, query, words), weight=weight)[: quality.DEPTH]


def fitted_weight(embedded: EmbeddedCorpus, evaluation_set: EvaluationSet, words: Words) -> float:
    """Return the dense weight that is best for this model on the set's queries, by what was graded alone."""
    by_query = {query: _candidates(embedded, query, words) for query in evaluation_set.queries}

    def figure(weight: float) -> float:
        ranked = {query: _fused(*scores, weight=weight) for query, scores in by_query.items()}
        values = quality.fair_values(evaluation_set.grades, ranked, [quality.CONDENSED])[quality.CONDENSED]
        return quality.figure(tuple(values.values())).mean

    return dense_weight(figure)


Scores = tuple[list[str], list[float | None], list[float | None]]


def _candidates(embedded: EmbeddedCorpus, query: str, words: Words) -> Scores:
    cosines = (embedded.documents @ embedded.queries[query]).tolist()
    dense = dict(zip(embedded.ids, cosines, strict=True))
    lexical = words.scores(query)
    best = sorted(dense, key=lambda product_id: (-dense[product_id], product_id))[:DEPTH]
    ids = sorted({*best, *lexical})
    return ids, [dense.get(name) for name in ids], [lexical.get(name) for name in ids]


def _fused(
    ids: Sequence[str], dense: Sequence[float | None], lexical: Sequence[float | None], *, weight: float
) -> list[str]:
    scores = weighted(dense, lexical, weight)
    ordered = sorted((-score, product_id) for score, product_id in zip(scores, ids, strict=True))
    return [product_id for _, product_id in ordered]
