"""More training queries: what a shopper would have typed who names the category, brand or marketplace too.

Conditional prefixes: a query asked without its condition and the same query with it, for products that
meet the condition. Off unless `prefixes` names fields.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from services.trainer.domain.canonical import canonical
from services.trainer.domain.cleaning import Removed
from services.trainer.domain.dataset import Pair
from services.trainer.domain.listing import Listing
from services.trainer.domain.split import Splitter


def augment(
    pairs: Iterable[Pair], listings: Mapping[str, Listing], splitter: Splitter, *, removed: Counter[str]
) -> Iterator[Pair]:
    """Yield a pair more for each prefix of each training pair's product.

    None whose query is asked as it is, or lies on another side than training by its own hash.
    """
    known = tuple(pairs)
    asked = {canonical(pair.query) for pair in known}
    made: set[tuple[str, str]] = set()
    for pair in (it for it in known if it.split == "train"):
        listing = listings[pair.product_id]
        for prefix in listing.prefixes:
            query = " ".join(f"{prefix}: {pair.query}".casefold().split())
            form = canonical(query)
            if form in asked or splitter.split(form, listing.key) != "train":
                removed[Removed.AUGMENTED] += 1
            elif (query, pair.product_id) not in made:
                made.add((query, pair.product_id))
                yield pair.model_copy(update={"query": query, "augmented": True})
