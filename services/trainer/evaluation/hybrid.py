"""Words beside vectors: which weight suits a model when both are fused, as search does it."""

from collections.abc import Mapping, Sequence

import tantivy

from services.trainer.domain.fitting import dense_weight
from services.trainer.evaluation.ground import Embedded, Ground
from shared import quality
from shared.fusion import weighted

DEPTH = 100
"""Candidates by vector and by words."""
MEASURE = "nDCG@10"


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
        asked, _ = self._index.parse_query_lenient(query, ["text"])
        hits = self._searcher.search(asked, DEPTH).hits
        return {self._searcher.doc(address)["id"][0]: score for score, address in hits}


def ranked(embedded: Embedded, query: str, words: Words, *, weight: float) -> list[str]:
    """Return the products that hybrid search answers with, best first."""
    return _fused(*_candidates(embedded, query, words), weight=weight)


def fitted_weight(embedded: Embedded, ground: Ground, words: Words) -> float:
    """Return the dense weight that is best for this model on the ground's queries."""
    lists = {query: _candidates(embedded, query, words) for query in ground.queries}

    def figure(weight: float) -> float:
        ranked = {query: _fused(*found, weight=weight) for query, found in lists.items()}
        return quality.figures(ground.grades, ranked, [MEASURE])[MEASURE].mean

    return dense_weight(figure)


Scores = tuple[list[str], list[float | None], list[float | None]]


def _candidates(embedded: Embedded, query: str, words: Words) -> Scores:
    cosines = (embedded.documents @ embedded.queries[query]).tolist()
    dense = dict(zip(embedded.ids, cosines, strict=True))
    lexical = words.scores(query)
    best = sorted(dense, key=lambda it: (-dense[it], it))[:DEPTH]
    ids = sorted({*best, *lexical})
    return ids, [dense.get(it) for it in ids], [lexical.get(it) for it in ids]


def _fused(
    ids: Sequence[str], dense: Sequence[float | None], lexical: Sequence[float | None], *, weight: float
) -> list[str]:
    ordered = sorted((-score, it) for score, it in zip(weighted(dense, lexical, weight), ids, strict=True))
    return [it for _, it in ordered[: quality.DEPTH]]
