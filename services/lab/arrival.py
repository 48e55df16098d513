"""How to see that a catalogue has arrived in the index, and how fast it came."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.search_api import ProductResponse
from schemas.wire.stamps import STATED
from services.lab.simulation.catalogue import ShopProduct
from shared.kafka.partitioning import partition_of


def last_of_each_partition(products: Iterable[ShopProduct], partitions: int) -> list[str]:
    """Return the products that are found when all others are: each partition is worked off in order."""
    return list({partition_of(product.id.encode(), partitions): product.id for product in products}.values())


@dataclass
class ArrivalSpeed:
    """Products a second since the first one was found: the start of the workers does not count."""

    first: float | None = None

    def at(self, now: float, count: int) -> float:
        """Return the speed; 0 in the first second, when it would be a guess."""
        if count and self.first is None:
            self.first = now
        return count / (now - self.first) if self.first is not None and now > self.first + 1 else 0.0


def is_written(product: ProductResponse | None, version: int) -> bool:
    """Return whether the index has a product with a change of this version, or of a later one."""
    return product is not None and any(
        revision.line == STATED and revision.version >= (version,) for revision in product.revisions
    )
