"""What `bench shards` says of a filled shard: what its pieces take, and what filters cost."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from schemas.filters import Filter, RangeFilter
from services.lab.report import ReportRow
from services.shards.archive import Blobs
from services.shards.part import PartView

SHARES = (0.001, 0.01, 0.05, 0.2, 0.5)
SHARE = "draw"
"""An attribute of the bench's products: numbers from 0 to 1, as many of each."""
MEMORY_GOAL = 1.2
"""Vectors with their codes, as a multiple of the vectors."""


def filters_of(share: float) -> Sequence[Filter]:
    """Return filters that about such a share of the bench's products passes."""
    return (RangeFilter(op="range", field=SHARE, lt=share),)


def filtered_rows(
    ask: Callable[[Sequence[Filter], bool], tuple[float, list[list[str]]]], unfiltered: float
) -> Iterator[ReportRow]:
    """Yield p50 of searches by vector under filters, and their recall, beside p50 of unfiltered ones.

    `ask` returns p50 in milliseconds and the products found; exactly, if that is said.
    """
    for share in SHARES:
        milliseconds, answers = ask(filters_of(share), False)
        _, exact = ask(filters_of(share), True)
        pairs = list(zip(exact, answers, strict=True))
        hits = sum(len(set(best) & set(answer)) for best, answer in pairs)
        recall = hits / max(1, sum(map(len, exact)))
        note = f"recall@10 {recall:.4f} against exact; bound: without a filter"
        yield ReportRow(f"search p50, {share:.1%} selected", milliseconds, "ms", unfiltered, note)


def memory_rows(parts: Sequence[PartView]) -> Iterator[ReportRow]:
    """Yield what the pieces of a shard take, a product that lives."""
    products = max(1, sum(part.statistics.documents for part in parts))
    vectors = sum(part.rows.vectors.nbytes for part in parts) / products
    codes = sum(part.funnel.bytes for part in parts if part.funnel) / products
    postings = sum(array.nbytes for part in parts for block in part.blocks for array in block) / products
    documents = sum(_bytes_of(blobs) for part in parts for blobs in (part.texts, part.states)) / products
    columns = sum(_arrays(column) for part in parts for column in part.columns.values()) / products
    note = "kept vectors; bound: the living ones"
    living = sum(part.row_mask(part.live).sum() * part.rows.vectors.itemsize for part in parts)
    dimensions = parts[0].rows.vectors.shape[1] if parts else 0
    yield ReportRow("memory: vectors", vectors, "B/product", float(living) * dimensions / products, note)
    note = f"bound: the vectors; goal {MEMORY_GOAL}"
    yield ReportRow("memory: vectors and codes", vectors + codes, "B/product", vectors, note)
    yield ReportRow("memory: postings", postings, "B/product")
    yield ReportRow(
        "memory: documents", documents, "B/product", note="on disk, mapped, but those of the head"
    )
    yield ReportRow("memory: columns", columns, "B/product")


def _bytes_of(blobs: Sequence[bytes]) -> int:
    return blobs.nbytes if isinstance(blobs, Blobs) else sum(map(len, blobs))


def _arrays(column: Any) -> int:  # Any: a column of numbers or of words
    return int(column.places.nbytes + column.values.nbytes)
