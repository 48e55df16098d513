"""More training queries: what a shopper would have typed who names the category, brand or marketplace too.

Conditional prefixes: a query asked without its condition and the same query with it, for products that
meet the condition. Off unless `prefixes` names fields.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from services.trainer.dataset.domain.cleaning import Removed
from services.trainer.dataset.domain.dataset import TrainingPair
from services.trainer.dataset.domain.entry import CatalogueEntry
from services.trainer.dataset.domain.split import Splitter
from shared.catalogue.words import canonical


def augment(
    pairs: Iterable[TrainingPair],
    entries: Mapping[str, CatalogueEntry],
    splitter: Splitter,
    *,
    removed: Counter[str],
) -> Iterator[TrainingPair]:
    """Yield a pair more for each prefix of each training pair's product.

    A pair is left out whose query is asked as it is, or lies on another side than training by its own hash.
    """
    originals = tuple(pairs)
    asked = {canonical(pair.query) for pair in originals}
    made: set[tuple[str, str]] = set()
    for pair in originals:
        if pair.split != "train":
            continue
        entry = entries[pair.product_id]
        for prefix in entry.prefixes:
            query = " ".join(f"{prefix}: {pair.query}".casefold().split())
            form = canonical(query)
            if form in asked or splitter.split(form, entry.key) != "train":
                removed[Removed.AUGMENTED] += 1
            elif (query, pair.product_id) not in made:
                made.add((query, pair.product_id))
                yield pair.model_copy(update={"query": query, "augmented": True})
