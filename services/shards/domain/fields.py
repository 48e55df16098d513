"""What attributes the products of a shard have, and how often: for those who write filters."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.base import FieldValue, Scalar
from schemas.fields import MOST_FIELDS, FieldKind, FieldSummary, kind_of
from services.shards.domain.filters import FLAG, NUMBER, STRING, filterable, scalars

KINDS: Mapping[str, FieldKind] = {NUMBER: "number", STRING: "text", FLAG: "boolean"}
REMEMBERED = 1000
"""Different texts of an attribute that are counted; which ones, where there are more, is those met first."""
EXAMPLES = 5


@dataclass(slots=True)
class _Tally:
    products: int = 0
    too_long: int = 0
    kinds: Counter[FieldKind] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    least: float | None = None
    greatest: float | None = None

    def add(self, values: tuple[Scalar, ...]) -> None:
        self.products += 1
        usable = [value for value in values if filterable(value)]
        self.too_long += len(usable) < len(values)
        self.kinds.update({kind_of(value) for value in usable})
        for value in usable:
            if isinstance(value, str):
                if value in self.texts or len(self.texts) < REMEMBERED:
                    self.texts[value] += 1
            elif not isinstance(value, bool):
                self.least = value if self.least is None else min(self.least, value)
                self.greatest = value if self.greatest is None else max(self.greatest, value)

    def summary(self, name: str) -> FieldSummary:
        return FieldSummary(
            name=name,
            products=self.products,
            kinds=dict(sorted(self.kinds.items())),
            least=self.least,
            greatest=self.greatest,
            examples=tuple(text for text, _ in self.texts.most_common(EXAMPLES)),
            too_long=self.too_long,
        )


def summarise(products: Iterable[Mapping[str, FieldValue]]) -> tuple[tuple[FieldSummary, ...], int]:
    """Return the attributes that these products have, by name, and how many are not named; null is none."""
    tallies: dict[str, _Tally] = {}
    for product in products:
        for name, value in product.items():
            if values := scalars(value):
                tallies.setdefault(name, _Tally()).add(values)
    named = sorted(sorted(tallies, key=lambda name: -tallies[name].products)[:MOST_FIELDS])
    return tuple(tallies[name].summary(name) for name in named), len(tallies) - len(named)
