from datetime import timedelta

import orjson
import pytest

from schemas.base import milliseconds
from schemas.judgements import Outcome
from services.judgements.domain.admission import MILLISECOND, JoinableEvent, JoinableQuery, TrialMark
from services.judgements.domain.counts import OutcomeTally
from services.judgements.domain.join import encode_outcome, impressions, join
from services.judgements.domain.rules import JoinRules

RULES = JoinRules()
NOON = 1_763_640_000_000
SHOWN = JoinableQuery("red shoes", "Red  Shoes", "q1", "g1", NOON, "f" * 16, ("a", "b", "c"))


def action(name="click", product="b", ordinal=0, after=timedelta(minutes=1), shopper=""):
    return JoinableEvent(name, product, ordinal, NOON + after // MILLISECOND, shopper)


def test_the_answer_knows_the_position_better_than_the_event():
    assert join([SHOWN], action(ordinal=7), RULES).items == (("b", 2),)


def test_a_product_outside_the_answer_has_the_events_position_or_none():
    assert join([SHOWN], action(product="z", ordinal=7), RULES).items == (("z", 7),)
    assert join([SHOWN], action(product="z"), RULES).items == (("z", 0),)


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
    assert (join([SHOWN], action(name, after=after), RULES) is not None) == owed


def test_impressions_are_the_answer_in_order():
    assert impressions([SHOWN], RULES).items == (("a", 1), ("b", 2), ("c", 3))
    assert impressions([SHOWN], JoinRules(impressions="events")) is None
    assert impressions([SHOWN._replace(product_ids=())], RULES) is None


def test_what_is_written_is_an_outcome():
    joined = join([SHOWN], action(shopper="0" * 16), RULES)
    outcome = Outcome.decode(encode_outcome(joined, incarnation=5, origin=3, sequence=9))
    assert outcome.key() == b"red shoes"
    assert (outcome.user_query, outcome.query_id, outcome.generation) == ("Red  Shoes", "q1", "g1")
    assert [(item.product_id, item.position) for item in outcome.items] == [("b", 2)]
    assert (outcome.action, outcome.shopper) == ("click", "0" * 16)
    assert (outcome.incarnation, outcome.origin, outcome.sequence) == (5, 3, 9)
    assert outcome.event_time.timestamp() * 1000 == joined.moment


MARK = TrialMark("t", "interleaved", "5" * 16, NOON + 40, "ABA", (2, 1), (("g1", 10, 8.5), ("g2", 3, 9.0)))
TRIED = SHOWN._replace(trial=MARK)
WRITTEN = NOON + 60_000


def outcome_of(joined):
    return Outcome.decode(encode_outcome(joined, incarnation=5, origin=3, sequence=9))


def test_every_outcome_of_an_answer_says_how_it_took_part_in_a_trial():
    shown = outcome_of(impressions([TRIED], RULES)).trial
    done = outcome_of(join([TRIED], action(product="b")._replace(written=WRITTEN), RULES)).trial
    assert (shown.teams, done.teams) == ("ABA", "B")
    assert (shown.acted_at, milliseconds(done.acted_at)) == (shown.asked_at, WRITTEN)
    own = {"teams", "acted_at"}
    assert shown.model_dump(exclude=own) == done.model_dump(exclude=own)
    assert (shown.trial, shown.arm, shown.session, shown.client) == ("t", "interleaved", "5" * 16, "f" * 16)
    assert (shown.places, [(part.generation, part.hits) for part in shown.parts]) == (
        (2, 1),
        [("g1", 10), ("g2", 3)],
    )


def test_what_the_answer_did_not_show_is_nobodys():
    assert outcome_of(join([TRIED], action(product="z"), RULES)).trial.teams == "-"


def test_what_was_not_drafted_has_no_teams():
    rest = SHOWN._replace(trial=MARK._replace(arm="rest", teams="", places=(0, 0), parts=()))
    for joined in (impressions([rest], RULES), join([rest], action(), RULES)):
        mark = outcome_of(joined).trial
        assert (mark.arm, mark.teams, mark.places) == ("rest", "", (0, 0))


@pytest.mark.parametrize("rules", [RULES, JoinRules(impressions="events")])
def test_that_an_answer_of_a_trial_was_asked_for_is_said_even_when_nothing_counts_as_shown(rules):
    empty = TRIED._replace(product_ids=())
    for shown in (TRIED, empty):
        joined = impressions([shown], rules)
        assert (joined is not None, outcome_of(joined).query_id) == (True, "q1")
    tally = OutcomeTally()
    nothing = impressions([empty], rules)
    tally.add(nothing.shown.query, nothing.items, action=nothing.action, shopper=nothing.shopper, day=1)
    assert (tally.window(0), tally.searches, tally.window_totals(0).count) == ({}, {}, 0)


def test_what_was_remembered_before_there_were_trials_is_still_joined():
    old = orjson.loads(orjson.dumps([[*SHOWN[:7]], [*action()[:5]]]))
    joined = join([JoinableQuery(*old[0])], JoinableEvent(*old[1]), RULES)
    assert outcome_of(joined).trial is None


def test_what_is_remembered_of_a_trial_comes_back_as_it_was():
    stored = orjson.loads(orjson.dumps(tuple(TRIED), default=tuple))
    assert encode_outcome(
        impressions([JoinableQuery(*stored)], RULES), incarnation=1, origin=0, sequence=1
    ) == (encode_outcome(impressions([TRIED], RULES), incarnation=1, origin=0, sequence=1))
