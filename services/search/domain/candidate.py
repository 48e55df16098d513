"""What shards answer, merged into one list of candidates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from schemas.fields import FieldKind
from schemas.search_api import Fields, PartitionReport
from schemas.shard_api import ShardHit


class Candidate(NamedTuple):
    """A product that a shard proposes, with the partition and the fencing token of who proposes it."""

    hit: ShardHit
    partition: int
    epoch: int
    document: bytes = b"{}"
    """What the product says, in JSON: goes into the answer as it came, and is read only where it must be."""

    @property
    def fields(self) -> Fields:
        """Return what the product says, read anew each time."""
        fields: Fields = orjson.loads(self.document)
        return fields

    @property
    def product_id(self) -> str:
        """Which product."""
        return self.hit.product_id


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """One partition's part of the answer."""

    report: PartitionReport
    candidates: tuple[Candidate, ...] = ()
    documents: int = 0
    kinds: Mapping[str, Sequence[FieldKind]] | None = None
    """Where no product passed the filters: of what kinds the values of their fields are."""


def merge(answers: Iterable[ShardAnswer]) -> list[Candidate]:
    """Return one candidate a product, by product id; of two, that of the newer epoch, then offset.

    The order of the answers does not matter.
    """
    best: dict[str, Candidate] = {}
    for answer in answers:
        for candidate in answer.candidates:
            product_id = candidate.hit.product_id
            other = best.get(product_id)
            if other is None or _newness(candidate) > _newness(other):
                best[product_id] = candidate
    return [best[product_id] for product_id in sorted(best)]


def missing(reports: Iterable[PartitionReport]) -> list[PartitionReport]:
    """Return the partitions that the answer lacks; the answer is partial when there is one."""
    return [report for report in reports if not report.answered]


def _newness(candidate: Candidate) -> tuple[int, int, int]:
    return candidate.epoch, candidate.hit.offset, -candidate.partition
