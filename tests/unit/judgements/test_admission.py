import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import milliseconds
from schemas.search import SearchEvent, SearchQuery
from services.judgements.domain.admission import (
    AdmittedEvent,
    Refused,
    StreamClock,
    TrialMark,
    admit_event,
    admit_query,
)
from services.judgements.domain.rules import JoinRules

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = JoinRules()


def event(action="click", product="p1", at=NOON, **fields):
    return SearchEvent(
        action_name=action,
        timestamp=at,
        **{"query_id": "q1", "client_id": "c1", **fields},
        event_attributes={"object": {"object_id": product}} if product else {},
    )


def admit(message, rules=RULES, written=NOON, clock=None):
    return admit_event(message, written, rules=rules, clock=clock or StreamClock(rules))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (event("brand_filter"), "ignored"),
        (event("impression"), "ignored"),
        (event(product=None), "no_product"),
        (event(query_id=None), "no_query"),
        (event(client_id="my-crawler"), "robot"),
        (event(user_id="price bot 7"), "robot"),
    ],
)
def test_an_event_that_does_not_count_says_why(message, reason):
    assert admit(message) == Refused(reason)


def test_a_person_called_abbott_is_no_robot():
    assert isinstance(admit(event(user_id="abbott", client_id="robotham")), AdmittedEvent)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("favorite", "favourite"),
        ("Add_To_Cart", "add_to_cart"),
        ("in_store_visit", "store_visit"),
        ("buy", "purchase"),
    ],
)
def test_names_of_one_action_are_one_action(name, action):
    assert admit(event(name)).action.action == action


def test_unknown_actions_count_under_their_own_name_when_the_shop_wants_it():
    assert admit(event("Try_On"), JoinRules(keep_unknown_actions=True)).action.action == "try_on"


def test_impression_events_count_when_answers_do_not():
    assert admit(event("impression"), JoinRules(impressions="events")).action.action == "impression"


@given(early=st.integers(0, 10**9), offset=st.integers(-(10**10), 10**10))
def test_event_time_stays_near_the_time_of_writing(early, offset):
    written = NOON - timedelta(seconds=early)
    claimed = written + timedelta(seconds=offset)
    moment = admit(event(at=claimed), JoinRules(grace=timedelta(days=36500)), written=written).action.moment
    assert milliseconds(written - RULES.retention) <= moment <= milliseconds(written + timedelta(minutes=5))


def test_an_event_after_the_grace_is_late_and_one_within_is_not():
    clock = StreamClock(RULES)
    assert isinstance(admit(event(at=NOON), clock=clock), AdmittedEvent)
    assert isinstance(admit(event(at=NOON - RULES.grace), clock=clock), AdmittedEvent)
    assert admit(event(at=NOON - RULES.grace - timedelta(milliseconds=1)), clock=clock) == Refused("late")


def test_history_is_never_late_moves_no_clock_and_is_held_against_no_limit():
    clock = StreamClock(RULES)
    admit(event(at=NOON), clock=clock)
    long_ago = NOON - timedelta(days=80)
    past = admit(event(at=long_ago, history=True), clock=clock)
    assert (past.action.moment, past.limited) == (milliseconds(long_ago), "")
    assert admit(event(at=NOON), clock=clock).limited == admit(event(at=NOON), clock=clock).action.shopper
    asked = {"query_id": "q1", "user_query": "boots", "client_id": "c1", "timestamp": long_ago}
    query = admit_query(SearchQuery(**asked, history=True), NOON, rules=RULES, clock=clock)
    assert (query.late, query.limited, query.shown.moment) == (False, "", milliseconds(long_ago))
    assert admit_query(SearchQuery(**asked), NOON, rules=RULES, clock=clock).late
    fresh = StreamClock(RULES)
    admit(event(at=long_ago, history=True), clock=fresh)
    assert fresh.now == 0


def test_deliveries_of_one_event_are_the_same_and_two_clicks_are_not():
    same = [admit(event(event_id="e1")), admit(event(event_id="e1", at=NOON - timedelta(seconds=3)))]
    assert same[0].identity == same[1].identity
    assert admit(event()).identity == admit(event()).identity
    assert admit(event()).identity != admit(event(at=NOON + timedelta(milliseconds=1))).identity
    assert admit(event()).identity != admit(event(client_id="c2")).identity
    assert admit(event()).identity != admit(event(product="p2")).identity
    assert admit(event()).identity != admit(event(event_id="e1")).identity


@pytest.mark.parametrize(
    ("fields", "mark"),
    [({}, ""), ({"user_query": " "}, "blank"), ({"client_id": "googlebot"}, "robot")],
)
def test_a_query_is_marked_when_its_events_do_not_count(fields, mark):
    query = SearchQuery(
        **{"query_id": "q1", "user_query": "Red  Shoes", "timestamp": NOON, **fields},
        query_response_object_ids=("a", "b", "a"),
    )
    admitted = admit_query(query, NOON, rules=RULES, clock=StreamClock(RULES))
    assert admitted.mark == mark
    assert admitted.shown.product_ids == ("a", "b")


def test_the_shopper_is_a_keyed_hash():
    rules = JoinRules(salt=b"one")
    assert re.fullmatch("[0-9a-f]{16}", rules.shopper("c1", None))
    assert rules.shopper("c1") != JoinRules(salt=b"two").shopper("c1")
    assert rules.shopper(None, "c1") == rules.shopper("c1")
    assert rules.shopper(None, None) == ""


def tried(shown, teams, *, arm="interleaved", ranks=(), **fields):
    parts = ({"generation": "g1", "hits": 10, "took_ms": 8.5}, {"generation": "g2", "hits": 3})
    trial = {"trial": "t", "arm": arm, "teams": teams, "ranks": ranks, "parts": parts}
    ranking = {"generation": "g1", "fingerprint": "0" * 16, "mode": "hybrid", "trial": trial}
    asked = SearchQuery(
        query_id="q1",
        user_query="lamp",
        timestamp=NOON,
        query_response_object_ids=shown,
        ranking=ranking,
        **fields,
    )
    query = admit_query(asked, NOON + timedelta(seconds=1), rules=RULES, clock=StreamClock(RULES))
    return query.shown


def test_an_answer_of_a_trial_is_remembered_with_its_teams_and_the_brokers_time():
    shown = tried(("a", "b", "c"), "ABA", session_id="s1", client_id="c1")
    assert shown.trial == TrialMark(
        trial="t",
        arm="interleaved",
        session=RULES.shopper("s1"),
        asked=milliseconds(NOON + timedelta(seconds=1)),
        teams="ABA",
        places=(2, 1),
        parts=(("g1", 10, 8.5), ("g2", 3, 0.0)),
    )
    assert shown.shopper == RULES.shopper("c1")


def test_what_both_rankings_would_have_shown_is_nobodys_and_has_its_place():
    mark = tried(("a", "b", "c"), "BAB", ranks=((1, 1), (2, 3), (4, 2)), client_id="c1").trial
    assert (mark.teams, mark.places) == ("-AB", (1, 2))


def test_without_a_session_the_client_is_one():
    assert tried(("a",), "A", client_id="c1").trial.session == RULES.shopper("c1")


def test_a_product_that_is_shown_twice_is_its_first_places_teams():
    shown = tried(("a", "b", "a", "c"), "ABBA")
    assert (shown.product_ids, shown.trial.teams) == (("a", "b", "c"), "ABA")


def test_what_has_no_team_is_nobodys_and_what_was_not_drafted_has_none():
    assert tried(("a", "b"), "A").trial.teams == "A-"
    assert tried(("a", "b"), "", arm="rest").trial.teams == ""


def test_an_answer_outside_a_trial_has_no_mark():
    plain = SearchQuery(query_id="q1", user_query="lamp", timestamp=NOON)
    assert admit_query(plain, NOON, rules=RULES, clock=StreamClock(RULES)).shown.trial is None
