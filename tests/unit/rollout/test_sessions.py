"""A session says the same in whatever order its outcomes come, however often, whoever joined them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import TrialTerms
from schemas.judgements import Outcome
from services.rollout.domain.sessions import SessionFold
from shared.generations.trial import Trial

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRIAL = Trial(
    name="t", live="g1", candidate="g2", terms=TrialTerms(window_seconds=3600, share=0.5), began_at=NOW
)
WEIGHTS = {"click": 1.0, "purchase": 10.0, "share": 0.0}
LATER = NOW + timedelta(days=1)
PARTS = ({"generation": "g1", "hits": 10, "took_ms": 8.0}, {"generation": "g2", "hits": 4, "took_ms": 9.5})


def said(query="q1", *, minute=0.0, action="impression", acted=None, items=("a", "b"), teams="AB", **mark):
    asked_at = NOW + timedelta(minutes=minute)
    return Outcome(
        query="lamp",
        user_query="lamp",
        query_id=query,
        action=action,
        items=[{"product_id": product} for product in items],
        event_time=asked_at,
        origin=0,
        sequence=1,
        trial={
            "trial": "t",
            "arm": "interleaved",
            "session": "s" * 16,
            "client": "c" * 16,
            "asked_at": asked_at,
            "acted_at": asked_at if acted is None else NOW + timedelta(minutes=acted),
            "teams": teams,
            "places": (1, 1),
            "parts": PARTS,
            **mark,
        },
    )


def click(product, team, *, minute=0.0, acted=1.0, query="q1", action="click", **mark):
    return said(query, minute=minute, action=action, acted=acted, items=(product,), teams=team, **mark)


def sessions(*outcomes, until=LATER, trial=TRIAL):
    fold = SessionFold(trial, WEIGHTS)
    for outcome in outcomes:
        fold.take(outcome)
    return fold.ended(until)


def test_a_session_is_scored_from_all_its_answers():
    (session,) = sessions(
        said(),
        click("b", "B"),
        said("q2", minute=5),
        click("a", "A", minute=5, acted=6, query="q2"),
        click("c", "-"),
    )
    assert (session.trial, session.session, session.client) == ("t", "s" * 16, "c" * 16)
    assert (session.arm, session.began_at) == ("interleaved", NOW)
    assert (session.answers, session.drafted, session.places, session.acted) == (2, 2, (2, 2), 3)
    assert (session.score, session.empty, session.took_ms) == (0.0, (0, 0), (16.0, 19.0))
    assert sessions(said(), click("b", "B"))[0].score > 0 > sessions(said(), click("a", "A"))[0].score


def test_what_is_later_than_the_window_does_not_count_by_the_brokers_clock():
    inside, at_its_end, beyond = (click("b", "B", acted=acted) for acted in (59, 60, 60.01))
    assert [session.acted for session in sessions(said(), inside)] == [1]
    assert [session.acted for session in sessions(said(), at_its_end)] == [1]
    assert [session.acted for session in sessions(said(), beyond)] == [0]
    assert [session.answers for session in sessions(said(), said("q2", minute=61))] == [1]


def test_a_session_is_open_until_more_than_its_window_has_been_taken():
    end = NOW + timedelta(hours=1)
    assert sessions(said(), until=end) == []
    assert len(sessions(said(), until=end + timedelta(milliseconds=1))) == 1


def test_what_has_been_closed_is_neither_kept_nor_counted_again():
    fold = SessionFold(TRIAL, WEIGHTS)
    fold.take(said())
    fold.close(session.session for session in fold.ended(LATER))
    fold.take(click("b", "B"))
    fold.take(said("q2"))
    assert (fold.open, fold.ended(LATER)) == (0, [])


def test_an_answer_that_one_generation_could_not_give_is_not_drafted():
    (session,) = sessions(said(teams="", places=(0, 0), parts=PARTS[:1]))
    assert (session.answers, session.drafted, session.places) == (1, 0, (0, 0))


def test_a_generation_that_finds_nothing_is_said_to():
    nothing = ({**PARTS[0], "hits": 0}, PARTS[1])
    (session,) = sessions(said(parts=nothing), said("q2"))
    assert session.empty == (1, 0)


def test_the_rest_is_told_by_whether_it_acted():
    rest = {"arm": "rest", "parts": (), "places": (0, 0)}
    (session,) = sessions(said(teams="", **rest), click("a", "", **rest))
    assert (session.arm, session.drafted, session.score, session.acted) == ("rest", 0, 0.0, 1)


@pytest.mark.parametrize("action", ["share", "view", "impression"])
def test_what_the_objective_does_not_weigh_is_no_action(action):
    assert [session.acted for session in sessions(said(), click("b", "B", action=action))] == [0]


def test_another_trials_outcomes_and_those_of_none_say_nothing():
    none = said().model_copy(update={"trial": None})
    assert sessions(said(trial="other"), none) == []


@st.composite
def happenings(draw):
    """Outcomes of some sessions: each answer says the same of itself in all of them."""
    outcomes = []
    for number in range(draw(st.integers(1, 6))):
        session, minute = draw(st.sampled_from("xyz")) * 16, draw(st.integers(0, 90))
        mark = {
            "session": session,
            "client": draw(st.sampled_from("cd")) * 16,
            "arm": "rest" if session[0] == "z" else "interleaved",
            "parts": PARTS[: draw(st.integers(1, 2))],
        }
        query = f"q{number}"
        outcomes.append(said(query, minute=minute, **mark))
        for product, team, action, after in draw(
            st.lists(
                st.tuples(
                    st.sampled_from("abcd"),
                    st.sampled_from("AB-"),
                    st.sampled_from(["click", "purchase", "view"]),
                    st.integers(-1, 100),
                ),
                max_size=4,
                unique_by=lambda act: act[0],
            )
        ):
            outcomes.append(
                click(product, team, minute=minute, acted=minute + after, query=query, action=action, **mark)
            )
    return outcomes


@given(outcomes=happenings(), data=st.data())
def test_any_order_any_repetition_and_any_incarnation_give_the_same_sessions(outcomes, data):
    expected = sessions(*outcomes)
    again = [
        outcome.model_copy(update={"incarnation": number, "origin": 9, "sequence": number})
        for number, outcome in enumerate(outcomes)
    ]
    some = data.draw(st.lists(st.sampled_from(again), max_size=10))
    assert sessions(*data.draw(st.permutations([*outcomes, *some]))) == expected
    assert sessions(*again, *outcomes[: data.draw(st.integers(0, len(outcomes)))]) == expected
    assert all(-1 <= session.score <= 1 for session in expected)


@given(outcomes=happenings(), data=st.data())
def test_whoever_takes_over_publishes_what_is_left_and_the_same(outcomes, data):
    """The first leader publishes some sessions; its successor reads those, then all outcomes again."""
    expected = {session.session: session for session in sessions(*outcomes)}
    published = data.draw(st.lists(st.sampled_from(sorted(expected)), unique=True)) if expected else []
    successor = SessionFold(TRIAL, WEIGHTS)
    successor.close(published)
    for outcome in outcomes:
        successor.take(outcome)
    left = {session.session: session for session in successor.ended(LATER)}
    assert left == {name: session for name, session in expected.items() if name not in published}
