"""The one way from a product to the texts that are embedded, for evaluation and for every generation.

An attribute's words (`shared/catalogue/plain_text.py`), the lines of the templates, the passages that a model
reads at once. What is configured of it is in the record of a model that was evaluated: a generation whose
embedder is configured otherwise, so that products get other vectors, is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, NamedTuple, Protocol, Self

from pydantic import Field, model_validator

from schemas.base import MAX_TEXT_BYTES
from schemas.control import Model, ProductRecipe
from shared.catalogue.texts import TEMPLATES, bounded_text, named_fields
from shared.encoder.parity import PARITY
from shared.encoder.passages import Cut, PassageCutter
from shared.errors import ConfigurationError
from shared.ports import Encoder
from shared.section import Section

LOOKS = ("red", "oak", "small", "folding", "heavy", "striped", "waterproof")
THINGS = ("lamp", "chair", "kettle", "boot", "drum", "rope", "brush", "clock", "tent", "scarf", "saw")
ENDS = (". ", "! ", ", as all of them. ", "; two make a set. ", ".")
BYTES_A_TOKEN = 8
"""More than a model's tokens have."""


class ProductTexts(Section):
    """Of the `[embedder]` section, how a product becomes texts."""

    text: tuple[str, ...] = TEMPLATES
    """What is embedded, a line each: a field's name, or a text around names in braces (of
    `{title|name}` the first that has a value)."""
    passage_size: Annotated[int, Field(ge=8)] = 240
    """Longest passage, in tokens of the model; what the model reads at once is less, where it is."""
    passage_overlap: Annotated[int, Field(ge=0)] = 32
    """Tokens of whole sentences that neighbouring passages share at most."""
    passages: Annotated[int, Field(ge=1, le=64)] = 4
    """Passages of one product at most; each costs an inference and a vector. What is left out is told on
    `catalogue.findings.v1`."""

    @model_validator(mode="after")
    def _overlap_is_shorter(self) -> Self:
        if self.passage_overlap >= self.passage_size:
            raise ValueError("passage_overlap must be smaller than passage_size")
        return self

    @property
    def recipe(self) -> ProductRecipe:
        """What a model's record says of it."""
        return ProductRecipe(
            templates=self.text,
            passage_size=self.passage_size,
            passage_overlap=self.passage_overlap,
            passages=self.passages,
        )

    @property
    def cut(self) -> Cut:
        """How long texts are cut."""
        return cut_of(self.recipe)


def cut_of(recipe: ProductRecipe) -> Cut:
    """Return how a recipe cuts long texts."""
    return Cut(size=recipe.passage_size, overlap=recipe.passage_overlap, most=recipe.passages)


class TokenCounter(Protocol):
    """What knows how a model reads texts."""

    @property
    def document_tokens(self) -> int:
        """How many tokens of a document it reads."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> Sequence[int]:
        """Return how many tokens each text has."""
        ...


def cutter(cut: Cut, reading: TokenCounter) -> PassageCutter:
    """Return what cuts texts for a model."""
    return PassageCutter(cut, reading.count_tokens, longest=reading.document_tokens)


class _Differing(NamedTuple):
    """A passage that two recipes make otherwise, or that one of them does not make."""

    evaluated: str | None
    served: str | None


def check_product_texts(encoder: Encoder, here: ProductTexts, model: Model | None) -> None:
    """Raise `ConfigurationError` when products get other vectors here than where the model was evaluated.

    Both recipes are tried on made products that have what either names; without a difference in the texts
    nothing is embedded (blocking).
    """
    if model is None or model.product_recipe is None or model.product_recipe == here.recipe:
        return
    there, bound = model.product_recipe, PARITY[model.precision]
    for pair in _differing(encoder, there, here.recipe):
        if words := _beyond(encoder, pair, bound):
            raise ConfigurationError(
                f"model {model.model_id}: serving differs from evaluation, {words}: "
                f"{_changed(there, here.recipe)}; configure it as it was, or evaluate the model anew"
            )


def _changed(there: ProductRecipe, here: ProductRecipe) -> str:
    """Return which settings are other ones."""
    names = {"templates": "text"}
    return ", ".join(
        f"embedder.{names.get(name, name)} is {_shown(now)}, was {_shown(before)}"
        for name, before in there
        if (now := getattr(here, name)) != before
    )


def _shown(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


def _beyond(encoder: Encoder, pair: _Differing, bound: float) -> str:
    """Return how far two passages are from each other; empty: not beyond the bound."""
    if pair.evaluated is None or pair.served is None:
        shown = f"the product text {(pair.served or pair.evaluated or '')[:40]!r}"
        return f"{shown} is new" if pair.evaluated is None else f"{shown} is missing"
    one, other = encoder.encode_documents([pair.evaluated, pair.served])
    cosine = float(one @ other)
    if cosine >= bound:
        return ""
    return f"cosine {cosine:.4f} (at least {bound}) of the product text {pair.served[:40]!r}"


def _differing(encoder: Encoder, there: ProductRecipe, here: ProductRecipe) -> Iterator[_Differing]:
    """Yield the passages of made products that differ."""
    ways = [(recipe.templates, cutter(cut_of(recipe), encoder)) for recipe in (there, here)]
    names = list(dict.fromkeys([*named_fields(there.templates), *named_fields(here.templates)]))
    for fields in _products(names, _length(there, here)):
        evaluated, served = (_texts(fields, *way) for way in ways)
        pairs = zip_longest(evaluated, served)
        yield from (_Differing(one, other) for one, other in pairs if one != other)


def _texts(fields: Mapping[str, str], templates: Sequence[str], cut: PassageCutter) -> list[str]:
    text = bounded_text(fields, templates).text
    return cut(text).texts(text)


def _length(*recipes: ProductRecipe) -> int:
    """Return so many bytes of text that every recipe has to cut it, and to leave some of it out."""
    tokens = max((recipe.passages + 1) * recipe.passage_size for recipe in recipes)
    return min(BYTES_A_TOKEN * tokens, MAX_TEXT_BYTES)


def _products(names: Sequence[str], length: int) -> Iterator[Mapping[str, str]]:
    """Yield a product with every attribute; then for each attribute those with it alone, short and long."""
    short = {name: f"red {name} lamp" for name in names}
    yield short
    for name in names:
        yield {name: short[name]}
        for between in (" ", "\n"):
            long = _long(name, length, between)
            yield {name: long}
            yield short | {name: long}


def _long(name: str, length: int, between: str) -> str:
    """Return sentences of so many bytes, of which no passage is like another; five are a paragraph."""
    sentences, size = list[str](), 0
    while size < length:
        number = len(sentences)
        look, thing = (words[number % len(words)] for words in (LOOKS, THINGS))
        other = THINGS[number // len(THINGS) % len(THINGS)]
        end = ENDS[number % len(ENDS)]
        sentence = f"the {name} {number} goes with a {look} {thing} and a {other}{end}"
        sentences.append(sentence if end.endswith(" ") else sentence + between)
        size += len(sentence)
    return "".join(sentences)
