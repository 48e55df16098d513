"""The proof that nobody is judged by what was learned: overlaps are counted, not assumed.

It is taken from the finished data set, so that it also catches a mistake in how that was made.
"""

from collections.abc import Iterable, Mapping, Sequence

from services.trainer.domain.canonical import canonical
from services.trainer.domain.dataset import SPLITS, HardNegative, Overlap, Pair, Split
from services.trainer.domain.likeness import Likeness

QUERIES = ("same_query", "same_canonical_query", "similar_query")
PRODUCTS = ("same_product", "similar_product")
PROMISED: Mapping[Split, tuple[str, ...]] = {
    "validation": (*QUERIES, "same_pair"),
    "in_domain": ("same_pair",),
    "novel_query": (*QUERIES, "same_pair"),
    "novel_product": (*PRODUCTS, "same_pair"),
    "zero_shot": (*QUERIES, *PRODUCTS, "same_pair"),
}
"""What is 0 in each split's overlap with `train`."""

Couple = tuple[str, str]


def certify(
    pairs: Sequence[Pair], negatives: Iterable[HardNegative], likeness: Likeness
) -> dict[Split, Overlap]:
    """Count what each split shares with what is learned: pairs of `train`, and their negatives."""
    learned = [(pair.query, pair.product_id) for pair in pairs if pair.split == "train"]
    learned += [(negative.query, negative.product_id) for negative in negatives]
    found: dict[Split, list[Couple]] = {split: [] for split in SPLITS if split != "train"}
    for pair in pairs:
        if pair.split != "train":
            found[pair.split].append((pair.query, pair.product_id))
    return {split: _overlap(couples, learned, likeness) for split, couples in found.items()}


def broken(certificate: Mapping[Split, Overlap]) -> list[str]:
    """Return what is promised and does not hold, in words; empty: the data set is clean."""
    return [
        f"{split} and train: {count} {name.replace('_', ' ')}"
        for split, overlap in certificate.items()
        for name in PROMISED[split]
        if (count := getattr(overlap, name))
    ]


def _overlap(judged: Sequence[Couple], learned: Sequence[Couple], likeness: Likeness) -> Overlap:
    ours, theirs = {query for query, _ in judged}, {query for query, _ in learned}
    forms = {canonical(query) for query in theirs}
    products, known = {name for _, name in judged}, {name for _, name in learned}
    couples = {likeness.couple(*it) for it in learned}
    return Overlap(
        same_query=len(ours & theirs),
        same_canonical_query=sum(canonical(query) in forms for query in ours),
        similar_query=len(likeness.queries(ours, theirs)),
        same_product=len(products & known),
        similar_product=len(likeness.products(products, known)),
        same_pair=len(couples & {likeness.couple(*it) for it in judged}),
    )
