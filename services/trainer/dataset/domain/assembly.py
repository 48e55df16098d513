"""From what was read to a data set: cleaned, split, told apart, checked. A pure function of its sources."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.judgements import Negative
from services.trainer.dataset.domain import cleaning
from services.trainer.dataset.domain.augmentation import augment
from services.trainer.dataset.domain.cleaning import Removed, TrainingJudgement
from services.trainer.dataset.domain.dataset import (
    NEW_PRODUCT,
    HardNegative,
    Overlap,
    ProductText,
    ShownProducts,
    Split,
    TrainingPair,
)
from services.trainer.dataset.domain.entry import CatalogueEntry
from services.trainer.dataset.domain.leakage import leakage_report
from services.trainer.dataset.domain.negatives import NegativeSelection
from services.trainer.dataset.domain.selection import DatasetSelection
from services.trainer.dataset.domain.similarity import Similarity
from services.trainer.dataset.domain.split import Splitter
from shared.catalogue.words import canonical

KNOWN_QUERY: frozenset[Split] = frozenset({"train", "in_domain", "novel_product"})
KNOWN_PRODUCT: frozenset[Split] = frozenset({"train", "in_domain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSources:
    """What the topics say: judgements, negatives, and the products that they name or that are the corpus."""

    judged: Sequence[TrainingJudgement]
    negatives: Sequence[Negative]
    entries: Mapping[str, CatalogueEntry]
    unreadable: int = 0
    records: Mapping[str, int] = field(default_factory=dict)
    """Messages read, by topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """The contents of a data set, sorted, and what a manifest says of them."""

    pairs: tuple[TrainingPair, ...]
    negatives: tuple[HardNegative, ...]
    products: tuple[ProductText, ...]
    shown: tuple[ShownProducts, ...]
    removed: Mapping[str, int]
    leakage: Mapping[Split, Overlap]
    late_after: datetime | None


def assemble(
    sources: DatasetSources, selection: DatasetSelection, *, generation: str, seed: int = 0
) -> Assembled:
    """Return the contents; neither the order of the sources nor repeats in them change anything."""
    removed: Counter[str] = Counter({Removed.UNREADABLE: sources.unreadable})
    judged = _clean(sources, selection, removed)
    late_after = _late_after([judgement.first_seen for judgement in judged], selection.late)
    queries = {judgement.query for judgement in judged}
    splitter = Splitter(selection).holding_out(canonical(query) for query in queries)
    similarity = Similarity(sources.entries, selection)
    pairs = _split(judged, sources.entries, splitter, late_after=late_after, removed=removed)
    pairs += augment(pairs, sources.entries, splitter, removed=removed)
    pairs = _apart(pairs, similarity, removed)
    selected = NegativeSelection(pairs, similarity)
    negatives = selected.mined(sources.negatives, generation=generation, removed=removed)
    negatives += selected.drawn(negatives, sources.judged, seed=seed)
    return Assembled(
        pairs=tuple(sorted(pairs, key=_by_query)),
        negatives=tuple(sorted(negatives, key=_by_query)),
        products=tuple(sources.entries[product_id].product for product_id in sorted(sources.entries)),
        shown=_shown(sources, pairs),
        removed={reason: removed[reason] for reason in sorted(removed) if removed[reason]},
        leakage=leakage_report(pairs, negatives, similarity),
        late_after=late_after,
    )


def _by_query(pair: TrainingPair | HardNegative) -> tuple[str, str]:
    return pair.query, pair.product_id


def _shown(sources: DatasetSources, pairs: Sequence[TrainingPair]) -> tuple[ShownProducts, ...]:
    """Return what else was shown for the queries of the pairs, of the products that there are.

    A judgement says that a product was shown, however little it says of it.
    """
    paired: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        paired[pair.query].add(pair.product_id)
    others: defaultdict[str, set[str]] = defaultdict(set)
    for judgement in sources.judged:
        query, product_id = judgement.query, judgement.product_id
        if query in paired and product_id not in paired[query] and product_id in sources.entries:
            others[query].add(product_id)
    return tuple(
        ShownProducts(query=query, product_ids=tuple(sorted(others[query]))) for query in sorted(others)
    )


def _clean(
    sources: DatasetSources, selection: DatasetSelection, removed: Counter[str]
) -> list[TrainingJudgement]:
    """Return the judgements that are good enough; why each other one is not is counted in `removed`."""
    by_query: defaultdict[str, dict[str, TrainingJudgement]] = defaultdict(dict)
    for judgement in sources.judged:
        by_query[judgement.query][judgement.product_id] = judgement
    good = []
    for query, of_query in by_query.items():
        refusal = cleaning.refuse(query, list(of_query.values()), selection)
        if refusal is not None:
            removed[refusal] += 1
            continue
        for judgement in of_query.values():
            if not judgement.is_evident(selection):
                removed[Removed.NO_EVIDENCE] += 1
            elif judgement.product_id not in sources.entries:
                removed[Removed.NO_PRODUCT] += 1
            else:
                good.append(judgement)
    return good


def _late_after(first_seen: Sequence[datetime], late: float) -> datetime | None:
    """Return the moment after which that share of the pairs was first seen (less, when many are of one)."""
    ordered = sorted(first_seen)
    return ordered[round((1 - late) * (len(ordered) - 1))] if ordered and late else None


def _split(
    judged: Iterable[TrainingJudgement],
    entries: Mapping[str, CatalogueEntry],
    splitter: Splitter,
    *,
    late_after: datetime | None,
    removed: Counter[str],
) -> list[TrainingPair]:
    """Return a pair of each judgement, in its split; those that belong to none are counted."""
    pairs = []
    for judgement in judged:
        entry = entries[judgement.product_id]
        split = splitter.split(canonical(judgement.query), entry.key)
        if split is None:
            removed[Removed.BETWEEN] += 1
            continue
        late = late_after is not None and judgement.first_seen > late_after
        pairs.append(_pair(judgement, entry, split, late=late))
    return pairs


def _pair(judgement: TrainingJudgement, entry: CatalogueEntry, split: Split, *, late: bool) -> TrainingPair:
    return TrainingPair(
        query=judgement.query,
        product_id=judgement.product_id,
        value=judgement.value,
        grade=judgement.grade,
        impressions=judgement.impressions,
        split=split,
        late=late,
        language=entry.language,
        category=entry.category,
    )


def _apart(pairs: list[TrainingPair], similarity: Similarity, removed: Counter[str]) -> list[TrainingPair]:
    """Return the pairs without leaks between what is learned and what is held out.

    What is learned gives way, never what is judged by: so models are judged by the same pairs as data grow.
    """
    known = {pair.query for pair in pairs if pair.split in KNOWN_QUERY}
    new = {pair.query for pair in pairs if pair.split not in KNOWN_QUERY}
    leaking_queries = similarity.queries(known, new)
    kept = [pair for pair in pairs if pair.split not in KNOWN_QUERY or pair.query not in leaking_queries]
    removed[Removed.SIMILAR_QUERY] += len(pairs) - len(kept)

    ours = {pair.product_id for pair in kept if pair.split in KNOWN_PRODUCT}
    theirs = {pair.product_id for pair in kept if pair.split in NEW_PRODUCT}
    leaking_products = similarity.products(ours, theirs)
    apart = [
        pair for pair in kept if pair.split not in KNOWN_PRODUCT or pair.product_id not in leaking_products
    ]
    removed[Removed.SIMILAR_PRODUCT] += len(kept) - len(apart)

    # The queries of in_domain and novel_product are promised to be learned ones. One that has lost all its
    # training pairs above is not, so its other pairs would be judged under a false name.
    learned = {pair.query for pair in apart if pair.split == "train"}
    left = [pair for pair in apart if pair.split not in KNOWN_QUERY or pair.query in learned]
    removed[Removed.UNLEARNED] += len(apart) - len(left)
    return left
