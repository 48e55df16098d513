"""Whether codes may answer for a part, and how deeply: a recall test on the shop's queries, kept as a report.

How well half a byte for four numbers tells neighbours apart depends on the model and on the catalogue. So
nobody says a depth: it is measured when a part is made. Codes that do not reach the goal at any depth that
pays are not used; the part is scanned.
"""

import time
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from services.shards.codes import Codes, lists_for, make_codes, parts_of
from services.shards.rows import Floats, Halves, Integers
from services.shards.vector_kernels import best_rows, score_rows

CODED_ROWS = 10_000
"""Below, a scan is quick enough, and learning codes would keep the writer who seals a head."""
LISTED_ROWS = 200_000
"""From there on, looking into all codes costs more than finding the lists."""
DEPTHS = (50, 100, 200, 400, 800, 1600, 3200, 6400)
PROBES = (8, 16, 32, 64, 128, 256, 512)
K, MANY = 10, 100
QUERIES = 100
"""How many queries at most a part is tested with."""
ENOUGH = 30
"""With fewer queries of shoppers, rows of the part itself ask."""
AWAY = 1.0
"""A row asks with so much of another row: queries of shoppers lie between products, too."""
CAREFUL = 200
"""The least depth that rows can say: how far shoppers ask from any product, they do not know."""
RANKS, STRIDE = 1000, 16
"""Down to which neighbour (every so-manieth) lists are looked at: filters make far neighbours near ones."""
COVERED = 0.998
SCAN_ROWS = 16
"""One exact row costs as much as comparing so many codes."""
SEED = 2

Kind = Literal["scan", "codes", "lists"]


class RecallReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a part is searched, and why; stored as JSON beside it.

    `recall` and `milliseconds` (of one search) are by depth, which is the number of candidates that are
    scored exactly; each answer beyond the tenth asks for `deeper` more. `probes` are the lists that are
    looked into; `reach` is how far below the last hit's score the centroid of a list may lie that still
    holds a neighbour (998 of 1,000 do).
    """

    kind: Kind
    rows: int
    goal: float
    reason: str
    depth: int = 0
    deeper: int = 0
    probes: int = 1
    reach: float = 0.0
    asked_by: Literal["shoppers", "rows", "nobody"] = "nobody"
    queries: int = 0
    recall: Mapping[int, float] = {}
    milliseconds: Mapping[int, float] = {}

    def json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, content: bytes) -> "RecallReport":
        """Read a report; raises ValueError when it is none."""
        try:
            return msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a report of admission: {error}") from error


class _Test(NamedTuple):
    """Queries, and the true neighbours of each, the nearest first."""

    vectors: Halves
    queries: Floats
    excluded: Integers
    """The row that asks, which is no answer; -1: none."""
    neighbours: list[Integers]

    @property
    def asked_by(self) -> Literal["shoppers", "rows"]:
        """Whose queries they are."""
        return "rows" if (self.excluded >= 0).any() else "shoppers"


def admit(
    vectors: Halves, queries: Floats | None = None, *, goal: float = 0.98, kind: Kind | None = None
) -> tuple[Codes | None, RecallReport]:
    """Make codes of the kind that suits so many rows (or of the one asked for), and test them.

    `vectors` are float16 unit rows; `queries` recent query vectors (float32 rows), if there are any.
    Without codes in the answer the part is scanned.
    """
    rows, dimensions = vectors.shape
    kind = kind or _suits(rows)
    if kind == "scan" or parts_of(dimensions) is None or rows <= K:
        return None, RecallReport(
            kind="scan", rows=rows, goal=goal, reason="few rows or dimensions: a scan is quick"
        )
    test = _test(vectors, queries)
    if test.asked_by == "rows":  # a guess of what shoppers ask: half as much may be missed
        goal += (1 - goal) / 2
    lists = 1 if kind == "codes" else lists_for(rows)
    codes = make_codes(vectors, lists)
    report = assess(codes, test, goal)
    if report.kind == "scan" and lists > 1:
        codes = make_codes(vectors, 1)
        report = assess(codes, test, goal)
    return (None if report.kind == "scan" else codes), report


def assess(codes: Codes, test: _Test, goal: float) -> RecallReport:
    """Measure recall at growing depths, until the goal is reached or a scan would cost no more."""
    probes = _probes(codes, test, goal)
    recall: dict[int, float] = {}
    milliseconds: dict[int, float] = {}
    for depth in _depths(codes, probes):
        recall[depth], milliseconds[depth] = _measured(codes, test, probes=probes, depth=depth)
        if recall[depth] >= goal and (depth >= CAREFUL or test.asked_by == "shoppers"):
            break
    depth = max(recall)
    reached = recall[depth] >= goal
    known = f"recall@{K} {recall[depth]:.4f} at depth {depth}, goal {goal}"
    return RecallReport(
        kind="scan" if not reached else "codes" if codes.lists == 1 else "lists",
        rows=codes.rows,
        goal=goal,
        reason=known if reached else f"{known}: not reached where it pays, so the part is scanned",
        depth=depth if reached else 0,
        deeper=_deeper(codes, test, probes=probes, depth=depth, goal=goal) if reached else 0,
        probes=probes,
        reach=_reach(codes, test) if codes.lists > 1 else 0.0,
        asked_by=test.asked_by,
        queries=len(test.queries),
        recall={depth: round(value, 4) for depth, value in recall.items()},
        milliseconds={depth: round(value, 3) for depth, value in milliseconds.items()},
    )


def _suits(rows: int) -> Kind:
    if rows < CODED_ROWS:
        return "scan"
    return "codes" if rows < LISTED_ROWS else "lists"


def _test(vectors: Halves, queries: Floats | None) -> _Test:
    """Find the true neighbours of the newest queries, or of some rows of the part."""
    rows = len(vectors)
    if queries is not None and len(queries) >= ENOUGH:
        asked = np.ascontiguousarray(queries[-QUERIES:], np.float32)
        excluded = np.full(len(asked), -1, np.int64)
    else:
        rng = np.random.default_rng(SEED)
        excluded = np.sort(rng.choice(rows, min(QUERIES, rows), replace=False)).astype(np.int64)
        others = vectors[rng.choice(rows, len(excluded))].astype(np.float32)
        asked = vectors[excluded].astype(np.float32) + AWAY * others
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    everything = np.arange(rows)
    neighbours = []
    for query, own in zip(asked, excluded.tolist(), strict=True):
        nearest, _ = best_rows(everything, score_rows(vectors, everything, query), RANKS + 1, ties=0)
        neighbours.append(nearest[nearest != own])
    return _Test(vectors, asked, excluded, neighbours)


def _probes(codes: Codes, test: _Test, goal: float) -> int:
    """Return how many lists must be looked into, so that half of what may be missed is missed by them."""
    if codes.lists == 1:
        return 1
    ranks = []
    for query, rows in zip(test.queries, test.neighbours, strict=True):
        own = _lists_of(codes, test.vectors, rows[:K])
        order, _ = codes.near_lists(query)
        place = np.empty(codes.lists, np.int64)
        place[order] = np.arange(codes.lists)
        ranks.append(place[own])
    places = np.concatenate(ranks)
    wanted = goal + (1 - goal) / 2
    enough = (probes for probes in PROBES if probes < codes.lists and (places < probes).mean() >= wanted)
    return next(enough, codes.lists)


def _depths(codes: Codes, probes: int) -> list[int]:
    """Return the depths at which codes cost less than a scan would."""
    looked = int(codes.sizes.mean() * probes)
    dearest = max(DEPTHS[0], (codes.rows - looked // SCAN_ROWS) // 2)
    return [depth for depth in DEPTHS if depth <= dearest]


def _deeper(codes: Codes, test: _Test, *, probes: int, depth: int, goal: float) -> int:
    """Return how many candidates more each answer asks for, so that a hundred are found as well as ten."""
    enough = (
        deep
        for deep in (depth + more * (MANY - K) for more in (1, 2, 3, 5, 8, 12, 20, 40, 80))
        if _measured(codes, test, probes=probes, depth=deep, k=MANY)[0] >= goal
    )
    return (next(enough, codes.rows) - depth) // (MANY - K)


def _reach(codes: Codes, test: _Test) -> float:
    """Return how far a neighbour's score lies above that of its list's centroid, in 998 of 1,000 cases."""
    gaps = []
    for query, rows in zip(test.queries, test.neighbours, strict=True):
        some = np.ascontiguousarray(rows[:RANKS:STRIDE])
        own = _lists_of(codes, test.vectors, some)
        gaps.append(score_rows(test.vectors, some, query) - score_rows(codes.centroids, own, query))
    return round(float(np.quantile(np.concatenate(gaps), COVERED)), 4)


def _lists_of(codes: Codes, vectors: Halves, rows: Integers) -> Integers:
    """Return the lists that hold some rows."""
    _, lists = codes.index.quantizer.search(vectors[rows].astype(np.float32), 1)
    return np.ascontiguousarray(lists[:, 0], np.int64)


def _measured(codes: Codes, test: _Test, *, probes: int, depth: int, k: int = K) -> tuple[float, float]:
    """Return recall of the first k and the median milliseconds, at a depth."""
    wanted, hits, seconds = 0, 0, []
    for query, own, truth in zip(test.queries, test.excluded.tolist(), test.neighbours, strict=True):
        began = time.perf_counter()
        lists, _ = codes.near_lists(query)
        rows = codes.candidates(query, depth, lists[:probes]).rows
        nearest, _ = best_rows(rows, score_rows(test.vectors, rows, query), k + 1, ties=0)
        seconds.append(time.perf_counter() - began)
        hits += np.intersect1d(nearest[nearest != own][:k], truth[:k]).size
        wanted += truth[:k].size
    return hits / wanted, float(np.median(seconds)) * 1000
