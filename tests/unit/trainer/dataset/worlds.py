"""Little shops, as a data set reads them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product as cross

from hypothesis import strategies as st

from schemas.catalogue import StampedChange
from schemas.judgements import Negative
from services.trainer.dataset.domain.assembly import DatasetSources
from services.trainer.dataset.domain.catalogue import TrainingCatalogue
from services.trainer.dataset.domain.cleaning import TrainingJudgement
from services.trainer.dataset.domain.selection import DatasetSelection
from tests import stamped

START = datetime(2026, 1, 1, tzinfo=UTC)
SELECTION = DatasetSelection(
    shoppers=2,
    validation=0.2,
    novel_query=0.3,
    novel_product=0.3,
    in_domain=0.2,
    corpus=3,
)
COLOURS = ("red", "blue", "large", "cheap outdoor")
THINGS = ("shoe", "shoes", "tent for camping", "camping tent", "campin tent", "desk lamp", "blanket")
QUERIES = [" ".join(words) for words in cross(COLOURS, THINGS, ("", "kids"))]
TITLES = [
    " ".join(words)
    for words in cross(("Acme", "Zoom"), ("red", "blue"), ("light", "warm winter"), ("shoe", "tent", "lamp"))
]
PRODUCTS = {f"p{number}": TITLES[number % len(TITLES)] for number in range(24)}


def judged(query: str, product_id: str, **values: object) -> TrainingJudgement:
    told = {
        "value": 1.0,
        "grade": 1.5,
        "impressions": 10,
        "shoppers": 5,
        "actions": 2,
        "expected": 3.0,
        "first_seen": START,
        **values,
    }
    return TrainingJudgement(query=query, product_id=product_id, **told)


def negative(query: str, product_id: str, generation: str = "g1") -> Negative:
    return Negative(
        query=query,
        product_id=product_id,
        difficulty="hard",
        score=0.5,
        positive_score=0.7,
        rank=1,
        generation=generation,
        fingerprint="0" * 16,
        mined_at=START,
    )


def change(product_id: str, version: int = 1, **fields: object) -> StampedChange:
    return stamped.change("upsert", version, product_id, **{"brand": "Acme", **fields})


def catalogue(selection: DatasetSelection = SELECTION, **titles: str) -> TrainingCatalogue:
    found = TrainingCatalogue(titles, selection, seed=0)
    for product_id, title in titles.items():
        found.take(change(product_id, title=title))
    return found


def sources(
    judged: Sequence[TrainingJudgement],
    negatives: Sequence[Negative] = (),
    selection: DatasetSelection = SELECTION,
) -> DatasetSources:
    return DatasetSources(
        judged=judged, negatives=negatives, entries=catalogue(selection, **PRODUCTS).entries()
    )


@st.composite
def judgements(draw: st.DrawFn) -> TrainingJudgement:
    actions = draw(st.integers(0, 4))
    return judged(
        draw(st.sampled_from(QUERIES)),
        draw(st.sampled_from(sorted(PRODUCTS))),
        grade=draw(st.sampled_from([0.2, 1.4, 2.8])),
        actions=actions,
        shoppers=draw(st.integers(1, 5)) if actions else 0,
        expected=draw(st.sampled_from([0.1, 2.0])),
        first_seen=START + timedelta(hours=draw(st.integers(0, 9))),
    )


def shops() -> st.SearchStrategy[tuple[list[TrainingJudgement], list[Negative]]]:
    pairs = st.lists(judgements(), max_size=40, unique_by=lambda it: (it.query, it.product_id))
    mined = st.builds(negative, st.sampled_from(QUERIES), st.sampled_from(sorted(PRODUCTS)))
    return st.tuples(pairs, st.lists(mined, max_size=20))
