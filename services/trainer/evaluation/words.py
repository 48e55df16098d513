"""The words of a data set's products, as the shards index them: in memory, one BM25 index a shard."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from services.trainer.dataset.domain.dataset import ProductText
from shared.catalogue.plain_text import normal_form
from shared.kafka.partitioning import partition_of
from shared.retrieval.settings import TextSettings
from shared.retrieval.text import TOKENIZER, add_fields, analyzer, words_query

Texts = Mapping[str, str]
"""The attributes of a product that are text, by name."""
PLACE = "place"
HEAP = 15_000_000
"""Bytes of an index's writer: the least that Tantivy takes."""


def _schema() -> Any:  # Any: tantivy has no types for mypy, here and below
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field(PLACE, fast=True)
    add_fields(builder)
    return builder.build()


SCHEMA = _schema()


class Words:
    """BM25 of every product of a corpus, by place among the sorted ids.

    A shard counts words among its own products alone, so which products lie together is as in the index.
    """

    def __init__(self, corpus: Mapping[str, Texts], settings: TextSettings, *, shards: int = 1) -> None:
        self.ids = sorted(corpus)
        self._settings = settings
        self._analyzer = analyzer()
        by_shard: defaultdict[int, list[int]] = defaultdict(list)
        for place, product_id in enumerate(self.ids):
            by_shard[partition_of(product_id.encode(), shards)].append(place)
        self.shards = [np.array(by_shard[number]) for number in sorted(by_shard)]
        """The places of each shard's products, ascending."""
        self._searchers = [self._searcher(corpus, places.tolist()) for places in self.shards]

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return each product's score; 0 where no word of the query is found."""
        scores = np.zeros(len(self.ids), np.float32)
        tokens = self._analyzer.analyze(normal_form(query))
        words = words_query(SCHEMA, tokens, title_boost=self._settings.title_boost)
        for searcher in self._searchers if words is not None else ():
            hits = searcher.search(words, max(1, searcher.num_docs), count=False).hits
            places = searcher.fast_field_values(PLACE, [address for _, address in hits])
            scores[np.array(places, np.int64)] = [score for score, _ in hits]
        return scores

    def _searcher(self, corpus: Mapping[str, Texts], places: Iterable[int]) -> Any:
        index = tantivy.Index(SCHEMA)
        index.register_tokenizer(TOKENIZER, self._analyzer)
        writer = index.writer(HEAP, 1)
        for place in places:
            document = tantivy.Document()
            document.add_unsigned(PLACE, place)
            for name, text in corpus[self.ids[place]].items():
                document.add_text(self._settings.part_of(name), text)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        return index.searcher()


def texts_by_id(products: Iterable[ProductText], settings: TextSettings) -> dict[str, Texts]:
    """Return the text of each product; of a data set of before, which has no fields, what is embedded."""
    title = next(iter(settings.title_fields), "")
    return {product.product_id: product.fields or {title: product.text} for product in products}
