"""A catalogue of any size, made as it is read: distinct titles, long descriptions, some long texts."""

import re
from collections.abc import Iterator
from functools import cache
from random import Random

from services.lab.simulation import shop
from services.lab.simulation.catalogue import ShopProduct

TITLE_WORDS, DESCRIPTION_WORDS = 8, 200
LONG_EVERY = 10
"""Every so many products have a second long text, which is embedded as passages."""
TEMPLATES = ("{title}", "bullets")
"""What is embedded of these products: the title, and the long text where there is one."""
COMMON = 1.2
"""The exponent of Zipf's law: a few words are in most descriptions."""


def made_products(count: int, *, seed: int = 1) -> Iterator[ShopProduct]:
    """Yield so many products; number n is the same whatever the count, and none is kept."""
    words = vocabulary()
    frequencies = [1 / (rank + 1) ** COMMON for rank in range(len(words))]
    for number in range(count):
        rng = Random(f"made {seed} {number}")  # noqa: S311 - a reproducible catalogue, not a secret

        def prose(rng: Random = rng) -> str:
            return " ".join(rng.choices(words, frequencies, k=DESCRIPTION_WORDS))

        yield ShopProduct(
            id=f"made-{number}",
            title=" ".join([*rng.sample(words, TITLE_WORDS), str(number)]),
            description=prose(),
            bullets=prose() if number % LONG_EVERY == 0 else "",
            brand=rng.choice(words).title(),
            price=round(rng.uniform(1, 500), 2),
            stock=rng.randrange(100),
        )


@cache
def vocabulary() -> list[str]:
    """Return the words of the sample shop, in an order that says nothing."""
    products = shop.sample().products
    texts = (f"{one.title} {one.description}" for one in products)
    words = sorted({word for text in texts for word in re.findall("[a-z]{2,}", text.lower())})
    Random(0).shuffle(words)  # noqa: S311 - as above
    return words
