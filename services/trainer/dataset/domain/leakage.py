"""The proof that nobody is judged by what was learned: overlaps are counted, not assumed.

The report is taken from the finished data set, so that it also catches a mistake in how that was made.
"""

from collections.abc import Iterable, Mapping, Sequence

from services.trainer.dataset.domain.dataset import SPLITS, HardNegative, Overlap, Split, TrainingPair
from services.trainer.dataset.domain.similarity import Similarity
from shared.catalogue.words import canonical

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

QueryProduct = tuple[str, str]


def leakage_report(
    pairs: Sequence[TrainingPair], negatives: Iterable[HardNegative], similarity: Similarity
) -> dict[Split, Overlap]:
    """Count what each split shares with what is learned: pairs of `train`, and their negatives."""
    learned = [(pair.query, pair.product_id) for pair in pairs if pair.split == "train"]
    learned += [(negative.query, negative.product_id) for negative in negatives]
    held_out: dict[Split, list[QueryProduct]] = {split: [] for split in SPLITS if split != "train"}
    for pair in pairs:
        if pair.split != "train":
            held_out[pair.split].append((pair.query, pair.product_id))
    return {split: _overlap(judged, learned, similarity) for split, judged in held_out.items()}


def leaks(report: Mapping[Split, Overlap]) -> list[str]:
    """Return what is promised and does not hold, in words; empty: the data set is clean."""
    return [
        f"{split} and train: {count} {name.replace('_', ' ')}"
        for split, overlap in report.items()
        for name in PROMISED[split]
        if (count := getattr(overlap, name))
    ]


def _overlap(
    judged: Sequence[QueryProduct], learned: Sequence[QueryProduct], similarity: Similarity
) -> Overlap:
    ours, theirs = {query for query, _ in judged}, {query for query, _ in learned}
    forms = {canonical(query) for query in theirs}
    products, learned_products = {name for _, name in judged}, {name for _, name in learned}
    learned_keys = {similarity.pair_key(*pair) for pair in learned}
    return Overlap(
        same_query=len(ours & theirs),
        same_canonical_query=sum(canonical(query) in forms for query in ours),
        similar_query=len(similarity.queries(ours, theirs)),
        same_product=len(products & learned_products),
        similar_product=len(similarity.products(products, learned_products)),
        same_pair=len(learned_keys & {similarity.pair_key(*pair) for pair in judged}),
    )
