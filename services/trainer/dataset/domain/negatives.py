"""What is learned as no answer to a query: what was mined for it, and products of the catalogue at random.

Both are held against the same: what shoppers or evaluation say of the query, and what is held out of all
that is learned.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from math import gcd

from schemas.judgements import Negative
from services.trainer.dataset.domain.cleaning import Removed, TrainingJudgement
from services.trainer.dataset.domain.dataset import NEW_PRODUCT, HardNegative, TrainingPair
from services.trainer.dataset.domain.similarity import Similarity
from services.trainer.dataset.domain.split import Splitter
from shared.catalogue.words import canonical


class NegativeSelection:
    """Says which negatives may be learned from, beside these pairs."""

    def __init__(self, pairs: Sequence[TrainingPair], similarity: Similarity) -> None:
        self._similarity = similarity
        self._pairs = pairs
        self._queries = {pair.query for pair in pairs if pair.split == "train"}
        self._learnable = self._find_learnable()
        self._closed: defaultdict[str, set[str]] = defaultdict(set)
        """By canonical query the products that are right for it, or kept to judge by."""
        for pair in pairs:
            if pair.split != "train" or pair.grade >= similarity.selection.relevant:
                self._closed[canonical(pair.query)].add(pair.product_id)

    def mined(
        self, negatives: Iterable[Negative], *, generation: str, removed: Counter[str]
    ) -> list[HardNegative]:
        """Return the good ones; why each other one is not is counted in `removed`."""
        by_pair = {(negative.query, negative.product_id): negative for negative in negatives}
        kept = []
        for negative in by_pair.values():
            refusal = self._refuse(negative, generation)
            if refusal is None:
                kept.append(_hard_negative(negative))
            else:
                removed[refusal] += 1
        return kept

    def drawn(
        self, mined: Iterable[HardNegative], judged: Iterable[TrainingJudgement], *, seed: int
    ) -> Iterator[HardNegative]:
        """Yield for each query of the mined ones so many products of the catalogue as the selection says.

        Never one that is the same product as one that was shown for the query, however little is known of
        it, or as one that was mined for it. Which they are is a function of seed, query and catalogue; where
        fewer can be drawn, they are fewer.
        """
        known: defaultdict[str, set[str]] = defaultdict(set)
        shown = [(pair.query, pair.product_id) for pair in self._pairs]
        shown += [(judgement.query, judgement.product_id) for judgement in judged]
        for query, product_id in shown:
            if product_id in self._similarity.entries:
                known[canonical(query)].add(product_id)
        by_query: defaultdict[str, set[str]] = defaultdict(set)
        for negative in mined:
            by_query[negative.query].add(negative.product_id)
        for query, product_ids in by_query.items():
            for product_id in self._draw(f"{seed}\t{query}", product_ids | known[canonical(query)]):
                yield HardNegative(query=query, product_id=product_id, difficulty="random")

    def _find_learnable(self) -> dict[str, None]:
        """Return, sorted, the products that are neither held out nor the same as one that is."""
        splitter, entries = Splitter(self._similarity.selection), self._similarity.entries
        new = {pair.product_id for pair in self._pairs if pair.split in NEW_PRODUCT}
        known = {name for name, entry in entries.items() if not splitter.product_is_held_out(entry.key)}
        return dict.fromkeys(sorted(known - self._similarity.products(known, new)))

    def _refuse(self, negative: Negative, generation: str) -> Removed | None:
        if negative.generation != generation:
            return Removed.NEGATIVE_GENERATION
        if negative.query not in self._queries:
            return Removed.NEGATIVE_QUERY
        if negative.product_id not in self._learnable:
            return Removed.NEGATIVE_PRODUCT
        closed = self._closed.get(canonical(negative.query), ())
        same = self._similarity.products([negative.product_id], closed)
        return Removed.NEGATIVE_JUDGED if same else None

    def _draw(self, seed: str, known: set[str]) -> list[str]:
        number = self._similarity.selection.random_negatives
        order, drawn = _shuffled(tuple(self._learnable), seed), list[str]()
        while len(drawn) < number and (portion := list(islice(order, 2 * number))):
            same = self._similarity.products(portion, known)
            drawn += [product_id for product_id in portion if product_id not in same]
        return drawn[:number]


def _shuffled(product_ids: Sequence[str], seed: str) -> Iterator[str]:
    """Yield all in an order that hangs on the seed: from a drawn place on, by a drawn step."""
    number, digest = len(product_ids), sha256(seed.encode()).digest()
    start, step = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8))
    while number and gcd(step, number) > 1:
        step += 1
    for place in range(number):
        yield product_ids[(start + place * step) % number]


def _hard_negative(negative: Negative) -> HardNegative:
    return HardNegative(
        query=negative.query,
        product_id=negative.product_id,
        difficulty=negative.difficulty,
        skipped=negative.skipped,
    )
