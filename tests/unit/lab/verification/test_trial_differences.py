"""What `verify trials` finds: a score that is another, a session left out, an end that does not follow."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.control import TrialTerms
from schemas.search import EventAttributes, EventObject, SearchEvent, SearchQuery
from services.judgements.domain.recount import RecountMessage
from services.judgements.domain.rules import JoinRules
from services.lab.verification.judgements import Shopping
from services.lab.verification.trials import PublishedSessions, compare, recounted
from shared.generations.trial import Trial

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = JoinRules()
TRIAL = Trial(
    name="t",
    live="g1",
    candidate="g2",
    terms=TrialTerms(window_seconds=60, sessions=2, objective={"click": 1.0}),
    began_at=NOW,
)


def answered(number):
    parts = ({"generation": "g1", "hits": 2}, {"generation": "g2", "hits": 2})
    trial = {
        "trial": "t",
        "arm": "interleaved",
        "teams": "AB",
        "ranks": ((1, 2), (2, 1)),
        "parts": parts,
    }
    return SearchQuery(
        query_id=f"q{number}",
        user_query="lamp",
        timestamp=NOW,
        session_id=f"s{number}",
        client_id=f"c{number}",
        query_response_object_ids=("a", "b"),
        ranking={"generation": "g1", "fingerprint": "0" * 16, "mode": "hybrid", "trial": trial},
    )


def click(number, product):
    return SearchEvent(
        action_name="click",
        query_id=f"q{number}",
        timestamp=NOW,
        event_attributes=EventAttributes(object=EventObject(object_id=product)),
    )


@pytest.fixture
def shopping():
    """Two sessions, a minute apart, both for the candidate."""
    shopping = Shopping()
    for number in range(2):
        at = NOW + timedelta(minutes=number)
        shopping.queries.append(RecountMessage("queries", at, answered(number)))
        shopping.events.append(RecountMessage("events", at + timedelta(seconds=9), click(number, "b")))
    return shopping


def published(*sessions):
    return PublishedSessions(list(sessions))


def sessions_of(shopping):
    counted = recounted([TRIAL], shopping, RULES, NOW + timedelta(hours=1))["t"]
    return sorted(counted.values(), key=lambda session: session.began_at)


def faults(shopping, *sessions, trial=TRIAL):
    now = NOW + timedelta(hours=1)
    return list(compare([trial], published(*sessions), shopping, rules=RULES, now=now).differences)


def test_what_follows_from_the_topics_has_no_difference_also_twice_or_when_more_is_to_come(shopping):
    first, second = sessions_of(shopping)
    assert first.score > 0
    assert faults(shopping, first, second, first) == []
    assert faults(shopping, first) == []
    assert faults(shopping) == []


def test_a_score_that_is_another_is_shown_with_both(shopping):
    first, second = sessions_of(shopping)
    (fault,) = faults(shopping, first.model_copy(update={"score": 0.0}), second)
    assert fault.startswith(f"t {first.session}: published")


def test_of_two_scores_of_one_session_the_first_is_looked_at(shopping):
    first, second = sessions_of(shopping)
    assert faults(shopping, first, second, first.model_copy(update={"score": 0.0})) == []


def test_a_session_that_is_left_out_is_missed_when_later_ones_are_there(shopping):
    _, second = sessions_of(shopping)
    (fault,) = faults(shopping, second)
    assert "not published, but later ones were" in fault


def test_a_session_of_nobody_is_a_difference(shopping):
    first, second = sessions_of(shopping)
    (fault,) = faults(shopping, first, second, first.model_copy(update={"session": "f" * 16}))
    assert "recounted None" in fault


@pytest.mark.parametrize(("end", "is_fault"), [("worse", False), ("better", True)])
def test_that_a_candidate_was_late_too_often_is_recounted(end, is_fault):
    shopping = Shopping()
    for number in range(300):
        query = answered(number)
        alone = query.ranking.trial.model_copy(
            update={"teams": "", "ranks": (), "parts": query.ranking.trial.parts[:1]}
        )
        ranking = query.ranking.model_copy(update={"trial": alone})
        query = query.model_copy(update={"ranking": ranking})
        shopping.queries.append(RecountMessage("queries", NOW + timedelta(seconds=number), query))
    sessions = sessions_of(shopping)
    assert [(session.answers, session.drafted) for session in sessions] == [(1, 0)] * 300
    trial = TRIAL.model_copy(update={"end": end})
    assert bool(faults(shopping, *sessions, trial=trial)) == is_fault
    assert len(faults(shopping, sessions[0].model_copy(update={"drafted": 1}), *sessions[1:])) == 1


@pytest.mark.parametrize(
    ("end", "is_fault"), [("better", True), ("worse", True), ("stopped", False), ("void", False)]
)
def test_an_end_that_only_sessions_bring_must_follow_from_them(shopping, end, is_fault):
    trial = TRIAL.model_copy(update={"end": end})
    assert bool(faults(shopping, *sessions_of(shopping), trial=trial)) == is_fault
