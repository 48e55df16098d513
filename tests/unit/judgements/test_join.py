from datetime import timedelta

import pytest

from schemas.judgements import Outcome
from services.judgements.domain.admission import MILLISECOND, JoinableEvent, JoinableQuery
from services.judgements.domain.join import encode_outcome, impressions, join
from services.judgements.domain.rules import JoinRules

RULES = JoinRules()
NOON = 1_763_640_000_000
SHOWN = JoinableQuery("red shoes", "Red  Shoes", "q1", "g1", NOON, "f" * 16, ("a", "b", "c"))


def action(name="click", product="b", ordinal=0, after=timedelta(minutes=1), shopper=""):
    return JoinableEvent(name, product, ordinal, NOON + after // MILLISECOND, shopper)


def test_the_answer_knows_the_position_better_than_the_event():
    assert join(SHOWN, action(ordinal=7), RULES).items == (("b", 2),)


def test_a_product_outside_the_answer_has_the_events_position_or_none():
    assert join(SHOWN, action(product="z", ordinal=7), RULES).items == (("z", 7),)
    assert join(SHOWN, action(product="z"), RULES).items == (("z", 0),)


@pytest.mark.parametrize(
    ("name", "after", "owed"),
    [
        ("click", timedelta(hours=23), True),
        ("click", timedelta(days=2), False),
        ("purchase", timedelta(days=29), True),
        ("store_visit", timedelta(days=29), True),
        ("purchase", timedelta(days=31), False),
        ("click", -timedelta(minutes=30), True),
        ("click", -timedelta(hours=2), False),
    ],
)
def test_an_action_is_owed_to_its_query_for_as_long_as_its_kind_says(name, after, owed):
    assert (join(SHOWN, action(name, after=after), RULES) is not None) == owed


def test_impressions_are_the_answer_in_order():
    assert impressions(SHOWN, RULES).items == (("a", 1), ("b", 2), ("c", 3))
    assert impressions(SHOWN, JoinRules(impressions="events")) is None
    assert impressions(SHOWN._replace(product_ids=()), RULES) is None


def test_what_is_written_is_an_outcome():
    joined = join(SHOWN, action(shopper="0" * 16), RULES)
    outcome = Outcome.decode(encode_outcome(joined, incarnation=5, origin=3, sequence=9))
    assert outcome.key() == b"red shoes"
    assert (outcome.user_query, outcome.query_id, outcome.generation) == ("Red  Shoes", "q1", "g1")
    assert [(item.product_id, item.position) for item in outcome.items] == [("b", 2)]
    assert (outcome.action, outcome.shopper) == ("click", "0" * 16)
    assert (outcome.incarnation, outcome.origin, outcome.sequence) == (5, 3, 9)
    assert outcome.event_time.timestamp() * 1000 == joined.moment
