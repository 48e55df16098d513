"""What shards answer, merged into one list of candidates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A product that a shard proposes: its raw scores (None: has none) and where it lies."""

    product_id: str
    dense: float | None = None
    lexical: float | None = None
    partition: int = 0
    segment: str = ""
    offset: int = 0
    epoch: int = 0
    passage: int = 0
    fields: Mapping[str, Any] | None = None  # Any: attribute values


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one partition of the query; `reason` says why it is missing from the answer."""

    partition: int
    answered: bool
    owner: str | None = None
    epoch: int | None = None
    next_offset: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """One partition's part of the answer."""

    report: Report
    candidates: tuple[Candidate, ...] = ()


def merge(answers: Iterable[ShardAnswer]) -> list[Candidate]:
    """Return one candidate a product, by product id; of two, that of the newer epoch, then offset.

    The order of the answers does not matter.
    """
    best: dict[str, Candidate] = {}
    for answer in answers:
        for candidate in answer.candidates:
            known = best.get(candidate.product_id)
            if known is None or _newness(candidate) > _newness(known):
                best[candidate.product_id] = candidate
    return [best[product_id] for product_id in sorted(best)]


def missing(reports: Iterable[Report]) -> list[Report]:
    """Return the partitions that the answer lacks; the answer is partial when there is one."""
    return [report for report in reports if not report.answered]


def _newness(candidate: Candidate) -> tuple[int, int, int]:
    return candidate.epoch, candidate.offset, -candidate.partition
