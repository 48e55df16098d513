"""The products of `bench shards`: as they are, with attributes alone, and with texts of many words."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, cycle, islice

import numpy as np

from schemas.base import FieldValue
from services.lab.benchmarks.shard_figures import SHARE
from services.lab.benchmarks.vectors import FieldsOf
from services.lab.simulation.catalogue import ShopProduct

WORDS = 200
TEXTS = 10_000
"""How many products with so many words: enough to say how many there are a second."""


def drawn(number: int, product: ShopProduct) -> Mapping[str, FieldValue]:
    """Return the product's own attributes and one that any share of products can be selected by."""
    return {**product.fields(), SHARE: _share(number)}


def attributes(number: int, product: ShopProduct) -> Mapping[str, FieldValue]:
    """Return attributes without words."""
    return {
        "price": 1 + number % 9973 / 100,
        "rating": product.rating or 4.0,
        "stock": number % 500,
        "in_sale": number % 7 == 0,
        SHARE: _share(number),
    }


def described(products: Sequence[ShopProduct]) -> FieldsOf:
    """Return what gives each product a description of two hundred words of the catalogue."""
    words = _words(products)

    def fields_of(number: int, product: ShopProduct) -> Mapping[str, FieldValue]:
        text = " ".join(islice(words, WORDS))
        return {**attributes(number, product), "title": product.title, "description": text}

    return fields_of


def _share(number: int) -> float:
    """Return a number from 0 to 1 that says nothing of the product."""
    return float(np.random.default_rng(number).random())


def _words(products: Sequence[ShopProduct]) -> Iterator[str]:
    texts = chain.from_iterable(product.fields().values() for product in products)
    return cycle([word for text in texts if isinstance(text, str) for word in text.split()])
