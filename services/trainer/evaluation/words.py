"""The words of a data set's products, as the shards count and score them."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from services.trainer.dataset.domain.dataset import ProductText
from shared.catalogue.plain_text import normal_form
from shared.retrieval.bm25 import CorpusStatistics, Scores, TextPart, WeightedTerms, frequencies
from shared.retrieval.postings import lengths_of, postings_of
from shared.retrieval.settings import TextSettings
from shared.retrieval.text import Analyzer

Texts = Mapping[str, str]
"""The attributes of a product that are text, by name."""


class Words:
    """BM25 of every product of a corpus, by place among the sorted ids."""

    def __init__(self, corpus: Mapping[str, Texts], settings: TextSettings) -> None:
        self.ids = sorted(corpus)
        self._weight = settings.title_weight
        self._analyzer = Analyzer()
        texts = [corpus[product_id] for product_id in self.ids]
        titles, bodies = (self._terms(texts, settings, part) for part in ("title", "body"))
        lengths = np.float32(self._weight) * lengths_of(titles) + lengths_of(bodies)
        self._part = TextPart([postings_of(titles, bodies)], lengths.astype(np.float32), None)
        totals = (int(lengths_of(part).sum()) for part in (titles, bodies))
        self._statistics = CorpusStatistics(len(self.ids), *totals)
        self._scores = Scores()

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return each product's score; 0 where no word of the query is found."""
        terms = self._analyzer.of_query(normal_form(query))
        counts = frequencies([self._part], terms)
        weighted = WeightedTerms.of(terms, counts, self._statistics, title_weight=self._weight)
        self._scores.fill(self._part, weighted)
        return self._scores.of(np.arange(len(self.ids)))

    def _terms(self, texts: Iterable[Texts], settings: TextSettings, part: str) -> list[bytes]:
        chosen = ([text for name, text in one.items() if settings.part_of(name) == part] for one in texts)
        return [self._analyzer.of_texts(part_texts) for part_texts in chosen]


def texts_by_id(products: Iterable[ProductText], settings: TextSettings) -> dict[str, Texts]:
    """Return the text of each product; of a data set of before, which has no fields, what is embedded."""
    title = next(iter(settings.title_fields), "")
    return {product.product_id: product.fields or {title: product.text} for product in products}
