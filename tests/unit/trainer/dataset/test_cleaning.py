"""Which queries and judgements are worth learning from."""

from datetime import UTC, datetime

import pytest

from schemas.judgements import ActionStatistics, Judgement
from services.trainer.dataset.domain.cleaning import Removed, TrainingJudgement, refuse
from services.trainer.dataset.domain.selection import DatasetSelection
from tests.unit.trainer.dataset.worlds import START, judged

SELECTION = DatasetSelection(shoppers=3)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("red shoe", None),
        ("tv", None),
        ("靴", Removed.TOO_SHORT),
        ("靴下", None),
        ("iphone 12", None),
        ("x", Removed.TOO_SHORT),
        ("?!", Removed.TOO_SHORT),
        ("4006381333931", Removed.NO_LETTER),
        ("1 2 3", Removed.NO_LETTER),
        ("a " * 30, Removed.TOO_LONG),
        ("https://example.com/p/1", Removed.MACHINE),
        ("1' or 1=1 --", Removed.MACHINE),
        ("<script>alert(1)</script>", Removed.MACHINE),
        ("../../etc/passwd", Removed.MACHINE),
        ("9e107d9d372bb6826bd81d3542a419d6", Removed.MACHINE),
        ("x" * 60, Removed.MACHINE),
    ],
)
def test_a_query_is_refused_by_its_text(query: str, reason: Removed | None) -> None:
    assert refuse(query, [judged(query, "p1")], SELECTION) == reason


def test_a_query_that_led_to_nothing_is_refused() -> None:
    assert refuse("red shoe", [judged("red shoe", "p1", actions=0)], SELECTION) == Removed.NO_ACTION


def test_a_query_of_few_shoppers_is_refused_however_many_products_they_acted_on() -> None:
    few = [judged("red shoe", f"p{number}", shoppers=2) for number in range(5)]
    assert refuse("red shoe", few, SELECTION) == Removed.FEW_SHOPPERS
    assert refuse("red shoe", [*few, judged("red shoe", "q", shoppers=3)], SELECTION) is None


@pytest.mark.parametrize(("count", "expected", "evident"), [(0, 0.2, False), (0, 1.5, True), (1, 0.2, True)])
def test_a_grade_from_the_ranking_alone_is_no_evidence(count: int, expected: float, evident: bool) -> None:
    now = datetime.now(UTC)
    judgement = Judgement(
        query="red shoe",
        product_id="p1",
        window_start=now.date(),
        window_end=now.date(),
        impressions=3,
        shoppers=0,
        actions={
            "click": ActionStatistics(count=count, expected=expected, prior=3.0),
            "view": ActionStatistics(count=50, expected=50.0),
        },
        value=2.9,
        grade=2.7,
        updated_at=now,
    )
    assert TrainingJudgement.of(judgement, START, SELECTION).is_evident(SELECTION) is evident
