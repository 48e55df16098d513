"""Step two, as values: what the live index answers, and how it ranks."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from services.negatives.domain.rules import Rules

Source = Literal["dense", "lexical", "both"]
SHORTEST_CODE = 8


@dataclass(frozen=True, slots=True)
class Likeness:
    """What tells that two products are the same one: the title's words, and trade item numbers."""

    words: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fields: Mapping[str, Any], rules: Rules) -> Self:  # Any: attribute values
        """Return the likeness of a product by its attributes."""
        codes = {_code(value) for name in rules.codes for value in _listed(fields.get(name))}
        return cls(words_of(title_of(fields, rules)), frozenset(codes - {""}))

    def same_code(self, other: "Likeness") -> bool:
        """Whether both carry the same trade item number."""
        return not self.codes.isdisjoint(other.codes)

    def same_title(self, other: "Likeness", overlap: float) -> bool:
        """Whether the titles are equal, or share `overlap` of their words (Jaccard)."""
        ours, theirs = frozenset(self.words), frozenset(other.words)
        either = ours | theirs
        return bool(ours and theirs) and len(ours & theirs) >= overlap * len(either)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A product that the index proposes, with the raw scores it has, and where its record lies."""

    product_id: str
    dense: float | None
    lexical: float | None
    likeness: Likeness = Likeness()
    title: str = ""
    partition: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hit among the first by vector or by words; `rank` is the better of the two, from 1."""

    hit: Hit
    rank: int
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """The index's answer to one query.

    `scores` and `alike` are the positives': their dense scores, and what they look like, as far as known.
    """

    generation: str
    fingerprint: str
    hits: tuple[Hit, ...]
    scores: Mapping[str, float]
    alike: tuple[Likeness, ...]
    doubts: Mapping[str, float] | None = None
    """How relevant a cross-encoder finds those that it was asked about, 0 to 1; None: there is none."""

    @property
    def weakest(self) -> float | None:
        """The score of the positive that is farthest from the query; None when no positive has one."""
        return min(self.scores.values(), default=None)


def candidates(hits: Iterable[Hit], depth: int) -> list[Candidate]:
    """Return the union of the first `depth` by vector and by words, best rank first, in a total order."""
    known = tuple(hits)
    dense = _places({hit.product_id: hit.dense for hit in known}, depth)
    lexical = _places({hit.product_id: hit.lexical or None for hit in known}, depth)
    found = []
    for hit in known:
        ranks = [places[hit.product_id] for places in (dense, lexical) if hit.product_id in places]
        if ranks:
            one: Source = "dense" if hit.product_id in dense else "lexical"
            found.append(Candidate(hit, min(ranks), "both" if len(ranks) > 1 else one))
    return sorted(found, key=lambda it: (it.rank, -(it.hit.dense or 0.0), it.hit.product_id))


def title_of(fields: Mapping[str, Any], rules: Rules) -> str:  # Any: attribute values
    """Return a product's title, empty when it has none."""
    return next((str(fields[name]) for name in rules.titles if fields.get(name)), "")


def words_of(title: str) -> tuple[str, ...]:
    """Return a title's words: compatibility forms and case folded, punctuation gone."""
    folded = unicodedata.normalize("NFKC", title).casefold()
    return tuple("".join(letter if letter.isalnum() else " " for letter in folded).split())


def _places(scores: Mapping[str, float | None], depth: int) -> dict[str, int]:
    ordered = sorted((-score, product_id) for product_id, score in scores.items() if score is not None)
    return {product_id: place for place, (_, product_id) in enumerate(ordered[:depth], start=1)}


def _listed(value: Any) -> list[Any]:  # Any: an attribute's value
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _code(value: Any) -> str:  # Any: an attribute's value
    """Return a GTIN without its leading zeros and separators (GTIN-8 to GTIN-14 and UPC are one scale)."""
    text = "".join(letter for letter in str(value).upper() if letter.isascii() and letter.isalnum())
    return text.lstrip("0") if len(text) >= SHORTEST_CODE else ""
