"""A data set: judged pairs in splits, hard negatives, product texts, and where it all came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from schemas.base import GenerationName, ProductId, Scalar, Timestamp, Value
from schemas.control import OffsetRange

Split = Literal["train", "validation", "in_domain", "novel_query", "novel_product", "zero_shot"]
"""To learn from; to stop by; and four to be judged by, of pairs that were never learned from: those of a
known query and a known product, of a held-out query, of a held-out product, and of both."""

SPLITS: tuple[Split, ...] = get_args(Split)
NEW_PRODUCT: frozenset[Split] = frozenset({"novel_product", "zero_shot"})
"""Those whose products nobody may have learned from."""
EVALUATED: tuple[Split, ...] = ("in_domain", "novel_query", "novel_product", "zero_shot")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A data set's name, which is the name of its directory."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class TrainingPair(Value):
    """A judged query and product, the split that they belong to, and how much it is worth."""

    query: str
    product_id: ProductId
    value: Annotated[float, Field(ge=0)]
    """Of the judgement: 1 is what an average product gets."""
    grade: Annotated[float, Field(ge=0, le=3)]
    impressions: Count
    split: Split
    late: bool = False
    """Whether it is of the newest part of the judgements, by time."""
    augmented: bool = False
    """Whether the query was made from another by a prefix; only in `train`."""
    language: str = ""
    category: str = ""
    """As the product has it; empty when it has none."""


class HardNegative(Value):
    """A product that is not relevant to a query of `train`, although the index ranks it high.

    A random one is any product of the catalogue that nobody was shown for the query.
    """

    query: str
    product_id: ProductId
    difficulty: Literal["random", "easy", "medium", "hard"]
    skipped: bool = False
    """Whether shoppers looked at it often and never acted on it."""


class ShownProducts(Value):
    """Products that shoppers were shown for a query and that are in no pair of it.

    They were looked at too little to be graded, or are left out for another reason. What is neither here nor
    in a pair was never shown, as far as the judgements go back.
    """

    query: str
    product_ids: tuple[ProductId, ...]


class ProductText(Value):
    """The text of a product as it is embedded, and each field of it as text."""

    product_id: ProductId
    text: str
    fields: Mapping[str, str] = {}


class Overlap(Value):
    """What `train` and another split have in common; what the split promises not to share is 0.

    A query or a product is counted once, however many pairs it is in.
    """

    same_query: Count = 0
    same_canonical_query: Count = 0
    similar_query: Count = 0
    same_product: Count = 0
    similar_product: Count = 0
    same_pair: Count = 0


class DatasetManifest(Value):
    """Where a data set comes from, what it holds, and what its files hash to."""

    name: Name
    ranges: tuple[OffsetRange, ...]
    """Of judgements, negatives and catalogue; the data set is a function of these, filters and seed."""
    generation: GenerationName
    filters: Mapping[str, Scalar | tuple[Scalar, ...]] = {}
    """The settings of the selection, by name."""
    seed: Annotated[int, Field(ge=0)] = 0
    code_version: str = ""
    records: Mapping[str, Count] = {}
    """Messages in the ranges, by topic. Fewer when they are read again: compaction came in between."""
    late_after: Timestamp | None = None
    """Pairs first judged after it are late."""
    counts: Mapping[Split, Count] = {}
    """Pairs of each split."""
    removed: Mapping[str, Count] = {}
    """What was left out, by reason."""
    certificate: Mapping[Split, Overlap] = {}
    """The leakage report: what each split shares with `train`. Data sets on disk have it by this name."""
    files: Mapping[str, Digest] = {}
    """The SHA-256 of every file."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A whole data set as values; pairs and negatives sorted by query and product, products by id.

    `shown` is sorted by query and has those queries that are in a pair and were shown more.
    """

    manifest: DatasetManifest
    pairs: tuple[TrainingPair, ...]
    negatives: tuple[HardNegative, ...]
    products: tuple[ProductText, ...]
    shown: tuple[ShownProducts, ...] = ()

    def of(self, *splits: Split) -> tuple[TrainingPair, ...]:
        """Return the pairs of these splits."""
        return tuple(pair for pair in self.pairs if pair.split in splits)
