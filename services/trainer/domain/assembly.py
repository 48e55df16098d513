"""From what was read to a data set: cleaned, split, told apart, certified. A pure function of its sources."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import Negative
from services.trainer.domain import cleaning
from services.trainer.domain.augmentation import augment
from services.trainer.domain.canonical import canonical
from services.trainer.domain.certificate import certify
from services.trainer.domain.cleaning import Judged, Removed
from services.trainer.domain.dataset import HardNegative, Overlap, Pair, Product, Split
from services.trainer.domain.likeness import Likeness
from services.trainer.domain.listing import Listing
from services.trainer.domain.selection import Selection
from services.trainer.domain.split import Splitter

KNOWN_QUERY: frozenset[Split] = frozenset({"train", "in_domain", "novel_product"})
KNOWN_PRODUCT: frozenset[Split] = frozenset({"train", "in_domain"})
NEW_PRODUCT: frozenset[Split] = frozenset({"novel_product", "zero_shot"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the topics say: judgements, negatives, and the listings of what they name and of the corpus."""

    judged: Sequence[Judged]
    negatives: Sequence[Negative]
    listings: Mapping[str, Listing]
    unreadable: int = 0
    records: Mapping[str, int] = field(default_factory=dict)
    """Messages read, by topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """The contents of a data set, sorted, and what a manifest says of them."""

    pairs: tuple[Pair, ...]
    negatives: tuple[HardNegative, ...]
    products: tuple[Product, ...]
    removed: Mapping[str, int]
    certificate: Mapping[Split, Overlap]
    late_after: datetime | None


def assemble(sources: Sources, selection: Selection, *, generation: str) -> Assembled:
    """Return the contents; neither the order of the sources nor repeats in them change anything."""
    removed: Counter[str] = Counter({Removed.UNREADABLE: sources.unreadable})
    judged = _clean(sources, selection, removed)
    late_after = _late_after([it.first_seen for it in judged], selection.late)
    splitter, likeness = Splitter(selection), Likeness(sources.listings, selection)
    pairs = _placed(judged, sources.listings, splitter, late_after=late_after, removed=removed)
    pairs += augment(pairs, sources.listings, splitter, removed=removed)
    pairs = _apart(pairs, likeness, removed)
    negatives = _Negatives(pairs, likeness, generation).keep(sources.negatives, removed)
    return Assembled(
        pairs=tuple(sorted(pairs, key=lambda it: (it.query, it.product_id))),
        negatives=tuple(sorted(negatives, key=lambda it: (it.query, it.product_id))),
        products=tuple(sources.listings[name].product for name in sorted(sources.listings)),
        removed={name: removed[name] for name in sorted(removed) if removed[name]},
        certificate=certify(pairs, negatives, likeness),
        late_after=late_after,
    )


def _clean(sources: Sources, selection: Selection, removed: Counter[str]) -> list[Judged]:
    """Return the judgements that are good enough: of each, why not is counted."""
    queries: defaultdict[str, dict[str, Judged]] = defaultdict(dict)
    for it in sources.judged:
        queries[it.query][it.product_id] = it
    good = []
    for query, judged in queries.items():
        reason = cleaning.refuse(query, list(judged.values()), selection)
        if reason is not None:
            removed[reason] += 1
            continue
        for it in judged.values():
            if not it.is_evident(selection):
                removed[Removed.NO_EVIDENCE] += 1
            elif it.product_id not in sources.listings:
                removed[Removed.NO_PRODUCT] += 1
            else:
                good.append(it)
    return good


def _late_after(seen: Sequence[datetime], late: float) -> datetime | None:
    """Return the moment after which that share of the pairs was first seen (less, when many are of one)."""
    ordered = sorted(seen)
    return ordered[round((1 - late) * (len(ordered) - 1))] if ordered and late else None


def _placed(
    judged: Iterable[Judged],
    listings: Mapping[str, Listing],
    splitter: Splitter,
    *,
    late_after: datetime | None,
    removed: Counter[str],
) -> list[Pair]:
    pairs = []
    for it in judged:
        listing = listings[it.product_id]
        split = splitter.split(canonical(it.query), listing.key)
        if split is None:
            removed[Removed.BETWEEN] += 1
            continue
        late = late_after is not None and it.first_seen > late_after
        pairs.append(_pair(it, listing, split, late=late))
    return pairs


def _pair(it: Judged, listing: Listing, split: Split, *, late: bool) -> Pair:
    return Pair(
        query=it.query,
        product_id=it.product_id,
        value=it.value,
        grade=it.grade,
        impressions=it.impressions,
        split=split,
        late=late,
        language=listing.language,
        category=listing.category,
    )


def _apart(pairs: list[Pair], likeness: Likeness, removed: Counter[str]) -> list[Pair]:
    """Leave out of what is learned what is like what is held out, then what has nothing to be known by."""
    known = {pair.query for pair in pairs if pair.split in KNOWN_QUERY}
    new = {pair.query for pair in pairs if pair.split not in KNOWN_QUERY}
    queries = likeness.queries(known, new)
    kept = [it for it in pairs if it.split not in KNOWN_QUERY or it.query not in queries]
    removed[Removed.SIMILAR_QUERY] += len(pairs) - len(kept)

    ours = {pair.product_id for pair in kept if pair.split in KNOWN_PRODUCT}
    theirs = {pair.product_id for pair in kept if pair.split in NEW_PRODUCT}
    products = likeness.products(ours, theirs)
    apart = [it for it in kept if it.split not in KNOWN_PRODUCT or it.product_id not in products]
    removed[Removed.SIMILAR_PRODUCT] += len(kept) - len(apart)

    learned = {pair.query for pair in apart if pair.split == "train"}
    left = [it for it in apart if it.split not in KNOWN_QUERY or it.query in learned]
    removed[Removed.UNLEARNED] += len(apart) - len(left)
    return left


class _Negatives:
    """Says which negatives may be learned from, beside these pairs."""

    def __init__(self, pairs: Sequence[Pair], likeness: Likeness, generation: str) -> None:
        self._likeness = likeness
        self._splitter = Splitter(likeness.selection)
        self._generation = generation
        self._queries = {pair.query for pair in pairs if pair.split == "train"}
        self._new = {pair.product_id for pair in pairs if pair.split in NEW_PRODUCT}
        self._closed = {
            likeness.couple(pair.query, pair.product_id)
            for pair in pairs
            if pair.split != "train" or pair.grade >= likeness.selection.relevant
        }

    def keep(self, negatives: Sequence[Negative], removed: Counter[str]) -> list[HardNegative]:
        """Return the good ones; of the others, why not is counted."""
        told = {(it.query, it.product_id): it for it in negatives}
        named = {it.product_id for it in told.values()} & self._likeness.listings.keys()
        like_new = self._likeness.products(named, self._new)
        kept = []
        for it in told.values():
            reason = self._refuse(it, like_new)
            if reason is None:
                kept.append(_negative(it))
            else:
                removed[reason] += 1
        return kept

    def _refuse(self, it: Negative, like_new: set[str]) -> Removed | None:
        if it.generation != self._generation:
            return Removed.NEGATIVE_GENERATION
        if it.query not in self._queries:
            return Removed.NEGATIVE_QUERY
        listing = self._likeness.listings.get(it.product_id)
        if listing is None or it.product_id in like_new or self._splitter.product_is_held_out(listing.key):
            return Removed.NEGATIVE_PRODUCT
        closed = self._likeness.couple(it.query, it.product_id) in self._closed
        return Removed.NEGATIVE_JUDGED if closed else None


def _negative(it: Negative) -> HardNegative:
    return HardNegative.model_validate(
        {
            "query": it.query,
            "product_id": it.product_id,
            "difficulty": it.difficulty,
            "skipped": it.skipped,
        }
    )
