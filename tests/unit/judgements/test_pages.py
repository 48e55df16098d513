"""What a further page of a query id adds: its own products, once, at the places they have in the list."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import TrialTerms
from schemas.judgements import Outcome
from schemas.search import EventAttributes, EventObject, SearchEvent, SearchQuery
from services.judgements.domain.admission import JoinableEvent, JoinableQuery, TrialMark
from services.judgements.domain.counts import QueryProduct
from services.judgements.domain.join import encode_outcome, impressions, join
from services.judgements.domain.pages import goes_on, placed
from services.judgements.domain.recount import RecountMessage, outcomes, recount
from services.judgements.domain.rules import JoinRules
from services.rollout.domain.sessions import SessionFold
from shared.generations.trial import Trial

RULES = JoinRules()
NOON = 1_763_640_000_000
FIRST = JoinableQuery("lamp", "Lamp", "q1", "g1", NOON, "f" * 16, ("a", "b"))
SECOND = FIRST._replace(moment=NOON + 60_000, product_ids=("a", "b", "c", "d"))
MARK = TrialMark("t", "interleaved", "5" * 16, NOON + 40, "AB", (1, 1), (("g1", 2, 8.0), ("g2", 2, 9.0)))
LONGER = MARK._replace(asked=NOON + 60_040, teams="AB-B", places=(2, 2))
TRIED = (FIRST._replace(trial=MARK), SECOND._replace(trial=LONGER))


def click(product, after=1):
    return JoinableEvent("click", product, 0, NOON + after, "", NOON + after)


def outcome_of(joined):
    return Outcome.decode(encode_outcome(joined, incarnation=5, origin=3, sequence=9))


def test_a_further_page_shows_what_lies_behind_the_page_before():
    joined = impressions([FIRST, SECOND], RULES)
    assert joined.items == (("c", 3), ("d", 4))
    assert joined.moment == SECOND.moment


def test_a_product_counts_where_it_was_shown_first():
    moved = SECOND._replace(product_ids=("x", "a", "b", "d"))
    assert placed([FIRST, moved]) == {"a": (0, 1), "b": (0, 2), "d": (1, 4)}
    assert impressions([FIRST, moved], RULES).items == (("d", 4),)
    assert impressions([FIRST, SECOND._replace(product_ids=("c", "d", "a", "b"))], RULES) is None


def test_an_action_has_the_position_of_its_page_and_one_of_neither_has_none():
    assert join([FIRST, SECOND], click("d"), RULES).items == (("d", 4),)
    assert join([FIRST, SECOND], click("b"), RULES).items == (("b", 2),)
    assert join([FIRST, SECOND], click("z"), RULES).items == (("z", 0),)


def test_an_action_is_owed_for_so_long_after_the_first_page():
    """Otherwise it would depend on whether the event or its page was read first."""
    day = timedelta(days=1) // timedelta(milliseconds=1)
    late = SECOND._replace(moment=NOON + day)
    assert join([FIRST, late], click("d", after=day), RULES) is not None
    assert join([FIRST, late], click("d", after=day + 1), RULES) is None


@pytest.mark.parametrize(
    "other",
    [
        {"query": "chair"},
        {"shopper": "e" * 16},
        {"generation": "g2"},
        {"product_ids": ("c", "d")},
        {"product_ids": ("a",)},
        {"trial": MARK},
    ],
)
def test_what_is_no_longer_or_of_somebody_else_is_no_further_page(other):
    assert goes_on(FIRST, SECOND)
    assert not goes_on(FIRST, SECOND._replace(**other))


@pytest.mark.parametrize("other", [{"trial": "u"}, {"arm": "rest"}, {"session": "6" * 16}])
def test_a_page_of_another_arm_is_no_further_one(other):
    assert goes_on(*TRIED)
    assert not goes_on(TRIED[0], TRIED[1]._replace(trial=LONGER._replace(**other)))


def test_a_further_page_says_its_own_part_in_a_trial():
    shown = outcome_of(impressions(TRIED, RULES)).trial
    done = outcome_of(join(TRIED, click("d"), RULES)).trial
    assert (shown.page, shown.teams, shown.places) == (1, "-B", (1, 1))
    assert (done.page, done.teams, done.places, done.asked_at) == (1, "B", (1, 1), shown.asked_at)
    first = outcome_of(join(TRIED, click("b"), RULES)).trial
    assert (first.page, first.teams, first.places) == (0, "B", (1, 1))
    assert first.asked_at < shown.asked_at


@pytest.mark.parametrize(
    "pages",
    [
        (TRIED[0]._replace(trial=MARK._replace(teams="", places=(0, 0))), TRIED[1]),
        (TRIED[0], TRIED[1]._replace(trial=LONGER._replace(teams="BA-B"))),
        (TRIED[0], TRIED[1]._replace(product_ids=("b", "a", "c", "d"))),
        (TRIED[0], TRIED[1]._replace(trial=LONGER._replace(teams="", places=(0, 0)))),
    ],
)
def test_a_page_whose_draft_does_not_go_on_credits_nobody(pages):
    for joined in (impressions(pages, RULES), join(pages, click("d"), RULES)):
        mark = outcome_of(joined).trial
        assert (mark.page, mark.teams, mark.places) == (1, "", (0, 0))


def test_where_impressions_are_events_a_page_in_a_trial_still_says_what_it_showed():
    mark = outcome_of(impressions(TRIED, JoinRules(impressions="events"))).trial
    assert (mark.products, mark.teams) == (("c", "d"), "-B")
    assert impressions([FIRST, SECOND], JoinRules(impressions="events")) is None


AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def asked(shown, *, minute=0, client="c1", teams="", text="lamp"):
    trial = {
        "trial": "t",
        "arm": "interleaved",
        "teams": teams,
        "parts": [{"generation": name, "hits": 4} for name in ("g1", "g2")],
    }
    query = SearchQuery(
        query_id="q1",
        user_query=text,
        timestamp=AT + timedelta(minutes=minute),
        client_id=client,
        query_response_object_ids=tuple(shown),
        ranking={
            "generation": "g1",
            "fingerprint": "0" * 16,
            "mode": "hybrid",
            "trial": trial if teams else None,
        },
    )
    return RecountMessage("queries", query.timestamp, query)


def clicked(product, *, minute=2):
    event = SearchEvent(
        action_name="click",
        query_id="q1",
        client_id="c1",
        timestamp=AT + timedelta(minutes=minute),
        event_attributes=EventAttributes(object=EventObject(object_id=product)),
    )
    return RecountMessage("events", event.timestamp, event)


def counted(*queries, rules=RULES):
    found = recount(queries, [clicked("d")], rules)
    window = found.tally.window(0)
    shown = {pair.product_id: dict(counts.impressions) for pair, counts in window.items()}
    return shown, found.left_out, window.get(QueryProduct("lamp", "d"))


def test_every_page_is_counted_once_whatever_is_repeated():
    first, second, third = asked("ab"), asked("abcd", minute=1), asked("abcdef", minute=2)
    shown, left_out, clicks = counted(first, second, first, third, second, third)
    assert shown == {product: {place: 1} for place, product in enumerate("abcdef", 1)}
    assert left_out == {"duplicate": 3}
    assert (clicks.actions, clicks.searches) == ({"click": 1}, 1)


def test_another_client_that_uses_the_id_again_adds_nothing():
    shown, left_out, _ = counted(asked("ab"), asked("abcd", client="c2"), asked("abcd", text="chair"))
    assert shown.keys() == {"a", "b", "d"}
    assert (shown["d"], left_out) == ({}, {"duplicate": 2})


def test_a_robots_page_is_none_and_the_pages_before_it_stay():
    shown, left_out, _ = counted(asked("ab"), asked("abcd", minute=1), rules=JoinRules(robot_queries=1))
    assert (shown.keys(), left_out) == ({"a", "b", "d"}, {"robot": 1})


def test_a_late_page_is_known_and_not_shown():
    shown, left_out, clicks = counted(
        asked("ab"), asked("x", minute=60)._replace(timestamp=AT), asked("abcd", minute=1)
    )
    assert (clicks.actions, left_out) == ({"click": 1}, {"duplicate": 1})
    assert shown["d"] == {4: 1}
    late = asked("abcd", minute=-60 * 24)._replace(timestamp=AT)
    shown, left_out, _ = counted(asked("ab"), late, rules=JoinRules(grace=timedelta(hours=1)))
    assert (shown["d"], left_out) == ({}, {"late": 1})


TRIAL = Trial(
    name="t", live="g1", candidate="g2", terms=TrialTerms(window_seconds=3600, share=0.5), began_at=AT
)


def sessions(said):
    fold = SessionFold(TRIAL, {"click": 1.0})
    for joined in said:
        fold.take(outcome_of(joined))
    return fold.ended(AT + timedelta(days=1))


def test_a_page_that_came_too_late_credits_nobody_whichever_was_read_first():
    """What is done on it says nothing of teams: an event that was joined before the page could not."""
    rules = JoinRules(grace=timedelta(hours=1))
    pages = [asked("ab", teams="AB"), asked("abcd", minute=-60 * 24, teams="ABBB")._replace(timestamp=AT)]
    found = [
        sessions(outcomes(known, [clicked("d")], rules=rules, left_out=Counter()))
        for known in (pages[:1], pages)
    ]
    assert found[0] == found[1]
    ((session,), _) = found
    assert (session.answers, session.acted, session.score) == (1, 1, 0.0)


@pytest.mark.parametrize("rules", [RULES, JoinRules(impressions="events")])
@given(split=st.lists(st.integers(0, 3), min_size=6, max_size=6), minute=st.integers(1, 70))
def test_a_session_is_the_same_whichever_pages_were_known_when_an_event_came(rules, split, minute):
    """A join may read the events of a page before the page; the recount knows all pages."""
    pages = [asked("ab", teams="AB"), asked("abcd", minute=minute, teams="ABBA"), asked("abcdef", minute=71)]
    events = [clicked(product, minute=at) for product, at in zip("abcxef", (1, 2, 3, 50, 5, 80), strict=True)]
    expected = sessions(outcomes(pages, events, rules=rules, left_out=Counter()))
    said = list(outcomes(pages, [], rules=rules, left_out=Counter()))
    for event, known in zip(events, split, strict=True):
        said += [
            joined
            for joined in outcomes(pages[: known or 1], [event], rules=rules, left_out=Counter())
            if joined.action == "click"
        ]
    random.Random(str(split)).shuffle(said)
    assert sessions(said) == expected
    (session,) = expected
    inside = minute <= 60
    assert (session.answers, session.places) == ((2, (2, 2)) if inside else (1, (1, 1)))
    assert session.score == pytest.approx(0.2 if inside else 0.0)
    assert session.acted == 5
