"""The sample shop: `shop.toml` is a grammar, this module speaks it.

The same seed and size give the same shop, to the byte. Grades come from the attributes, never from the
words: a title may say "couch" where the query says "settee", and the product is exact all the same.
"""

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.lab.simulation.catalogue import (
    COMPLEMENT,
    EXACT,
    IRRELEVANT,
    SUBSTITUTE,
    GradedCatalogue,
    ShopProduct,
    ShopQuery,
)

GRAMMAR = Path(__file__).with_name("shop.toml")
LINES = ("Aurora", "Classic", "Nova", "Haven", "Summit", "Pure", "Metro", "Vista", "Ember", "Willow")
IRRELEVANT_GRADED = 12
"""Irrelevant products that a query's grades name, so that reading them shows all four grades."""

Words = tuple[str, ...]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Department(_Rule):
    """Where kinds stand: its place in the shop, the brands it carries and how titles read there."""

    path: Words
    brands: Words
    titles: Words


class Kind(_Rule):
    """A kind of product: what it is called, and the values that its attributes may take."""

    department: str
    names: Words
    asked: Words = ()
    price: tuple[float, float]
    color: Words = ()
    material: Words = ()
    size: Words = ()
    use: Words = ()
    features: Words
    substitutes: Words = ()
    complements: Words = ()


class Patterns(_Rule):
    """How queries are put together."""

    patterns: Words


class Grammar(_Rule):
    """The whole of `shop.toml`, with the shared word lists filled in."""

    queries: Patterns
    says: Mapping[str, Words]
    words: Mapping[str, Words]
    features: Mapping[str, str]
    departments: Mapping[str, Department]
    kinds: Annotated[Mapping[str, Kind], Field(min_length=1)]


@dataclass(frozen=True)
class Article:
    """A product with what the grammar knows of it: its kind, and each attribute's values."""

    product: ShopProduct
    kind: str
    traits: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Wish:
    """What a query is after: a kind, and the attributes that it should have."""

    kind: str
    traits: Mapping[str, str]

    def missed(self, article: Article) -> int:
        """Return how many of the wished attributes the article lacks."""
        return sum(value not in article.traits.get(name, ()) for name, value in self.traits.items())


@cache
def grammar() -> Grammar:
    """Read `shop.toml`; a list given by name stands for the shared list of that name."""
    raw = tomllib.loads(GRAMMAR.read_text(encoding="utf-8"))
    for kind in raw["kinds"].values():
        shared = {name: raw["words"][value] for name, value in kind.items() if _names_a_list(name, value)}
        kind.update(shared)
    return Grammar.model_validate(raw)


def sample(seed: int = 1, size: int = 3000, queries: int = 120) -> GradedCatalogue:
    """Return the shop that the grammar makes of this seed: every kind has its share of `size` products."""
    rules = grammar()
    rng = random.Random(f"shop {seed}")  # noqa: S311 - a reproducible shop, not a secret
    kinds = list(rules.kinds)
    articles = [_article(rules, kinds[number % len(kinds)], number, rng) for number in range(size)]
    wishes: dict[str, Wish] = {}
    while len(wishes) < queries:
        text, wish = _query(rules, articles[rng.randrange(len(articles))], rng)
        wishes.setdefault(text, wish)
    numbered = {f"q{number:05}": text for number, text in enumerate(wishes)}
    grades = {query: _graded(rules, wishes[text], articles, rng) for query, text in numbered.items()}
    return GradedCatalogue(
        tuple(article.product for article in articles),
        tuple(ShopQuery(query, text) for query, text in numbered.items()),
        grades,
    )


def grade(rules: Grammar, wish: Wish, article: Article) -> int:
    """Return how well the article grants the wish, as the head of `shop.toml` tells it."""
    kind, missed = rules.kinds[wish.kind], wish.missed(article)
    if article.kind == wish.kind:
        return EXACT if missed == 0 else SUBSTITUTE if missed == 1 else IRRELEVANT
    if article.kind in kind.substitutes:
        return SUBSTITUTE if missed == 0 else IRRELEVANT
    return COMPLEMENT if article.kind in kind.complements else IRRELEVANT


def _names_a_list(name: str, value: object) -> bool:
    return isinstance(value, str) and name in {"color", "material", "size", "use"}


def _article(rules: Grammar, kind_name: str, number: int, rng: random.Random) -> Article:
    kind = rules.kinds[kind_name]
    department = rules.departments[kind.department]
    brand, name = rng.choice(department.brands), rng.choice(kind.names)
    drawn = {
        attribute: rng.choice(values)
        for attribute in ("color", "material", "size", "use")
        if (values := getattr(kind, attribute))
    }
    features = rng.sample(kind.features, k=min(len(kind.features), rng.choice((1, 2, 2))))
    words = {"brand": brand, "line": rng.choice(LINES), "name": name, "feature": features[0], **drawn}
    title = rng.choice([form for form in department.titles if _slots(form) <= words.keys()])
    product = ShopProduct(
        id=f"HR{number:06}",
        title=_capitalised(title.format(**words)),
        description=_description(words),
        bullets="\n".join((*(rules.features[feature] for feature in features), *_facts(drawn))),
        brand=brand,
        color=drawn.get("color", ""),
        category=(*department.path, _capitalised(kind.names[0])),
        **_figures(kind, rng),
    )
    traits = {attribute: frozenset({value}) for attribute, value in drawn.items()}
    return Article(
        product, kind_name, {**traits, "brand": frozenset({brand}), "feature": frozenset(features)}
    )


def _figures(kind: Kind, rng: random.Random) -> dict[str, float | int]:
    low, high = kind.price
    return {
        "price": round(low * (high / low) ** rng.random()) - 0.01,
        "rating": round(min(5.0, rng.gauss(4.2, 0.4)), 1),
        "rating_count": int(rng.lognormvariate(5, 1.5)),
        "stock": max(0, int(rng.gauss(40, 30))),
    }


def _facts(drawn: Mapping[str, str]) -> list[str]:
    facts = {"material": "Material: {}", "size": "Size: {}", "use": "Great for {}"}
    return [form.format(drawn[attribute]) for attribute, form in facts.items() if attribute in drawn]


def _description(words: Mapping[str, str]) -> str:
    color = f" in {words['color']}" if "color" in words else ""
    return f"The {words['line']} {words['name']}{color}: {words['feature']}, from {words['brand']}."


def _query(rules: Grammar, article: Article, rng: random.Random) -> tuple[str, Wish]:
    """Return a query that this very article would grant, in a shopper's words."""
    kind = rules.kinds[article.kind]
    fitting = [form for form in rules.queries.patterns if _slots(form) <= {"kind", *article.traits}]
    form = rng.choice(fitting)
    wished = {name: rng.choice(sorted(article.traits[name])) for name in sorted(_slots(form) - {"kind"})}
    spoken = {name: _spoken(rules, value, rng) for name, value in wished.items()}
    text = form.format(kind=rng.choice((*kind.names, *kind.asked)), **spoken)
    return text.lower(), Wish(article.kind, wished)


def _spoken(rules: Grammar, value: str, rng: random.Random) -> str:
    return rng.choice((value, *rules.says.get(value, ())))


def _graded(rules: Grammar, wish: Wish, articles: Sequence[Article], rng: random.Random) -> dict[str, int]:
    grades = {article.product.id: grade(rules, wish, article) for article in articles}
    irrelevant = [product for product, value in grades.items() if value == IRRELEVANT]
    graded_irrelevant = set(rng.sample(irrelevant, k=min(IRRELEVANT_GRADED, len(irrelevant))))
    return {
        product: value
        for product, value in grades.items()
        if value != IRRELEVANT or product in graded_irrelevant
    }


@cache
def _slots(form: str) -> frozenset[str]:
    return frozenset(slot for _, slot, _, _ in Formatter().parse(form) if slot)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
