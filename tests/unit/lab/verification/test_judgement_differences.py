"""What `verify judgements` finds: a missing pair, a phantom, a wrong count, a grade that does not follow."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.judgements import Judgement
from schemas.search import EventAttributes, EventObject, SearchEvent, SearchQuery
from services.judgements.settings import Settings
from services.lab.verification.judgements import Shopping, _compare
from shared.errors import PoisonError
from shared.records import Partition, Record
from shared.streaming.dead_letters import headers
from shared.streaming.repartition import forwarded

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED = NOW - timedelta(hours=1)
QUERIES, EVENTS = Partition(SearchQuery.topic, 0), Partition(SearchEvent.topic, 0)
BEGINNINGS = {QUERIES: 0, EVENTS: 0}


def query(query_id: str = "q", *products: str, text: str = "Lamp") -> SearchQuery:
    return SearchQuery(
        query_id=query_id,
        user_query=text,
        timestamp=ASKED,
        query_response_object_ids=products or ("a", "b"),
        client_id="c",
    )


def click(product: str, event_id: str = "e1", query_id: str = "q") -> SearchEvent:
    return SearchEvent(
        action_name="click",
        query_id=query_id,
        event_id=event_id,
        timestamp=ASKED + timedelta(minutes=1),
        client_id="c",
        event_attributes=EventAttributes(object=EventObject(object_id=product)),
    )


def judged(product: str, impressions: int = 1, **fields) -> Judgement:
    return Judgement(
        **{
            "query": "lamp",
            "product_id": product,
            "window_start": NOW.date(),
            "window_end": NOW.date(),
            "impressions": impressions,
            "shoppers": 0,
            "value": 1.0,
            "grade": 1.5,
            "updated_at": NOW,
            **fields,
        }
    )


def read(*messages: SearchQuery | SearchEvent | Judgement, into: Shopping | None = None) -> Shopping:
    shopping = into or Shopping()
    for offset, message in enumerate(messages):
        partition = Partition(message.topic, 0)
        shopping.take(Record(partition, offset, message.key(), message.encode(), ASKED))
    return shopping


def differences(shopping: Shopping, beginnings=None, *, now: datetime = NOW) -> list[str]:
    return list(
        _compare(shopping, BEGINNINGS if beginnings is None else beginnings, Settings(), now).differences
    )


def test_what_was_published_is_what_is_recounted() -> None:
    shopping = read(query(), judged("a"), judged("b"))
    assert differences(shopping) == []
    result = _compare(shopping, BEGINNINGS, Settings(), NOW)
    assert result.figures == {
        "queries": 1,
        "events": 0,
        "pairs": 2,
        "judgements": 2,
        "forwarded": 0,
        "dead letters": 0,
    }


def test_a_query_that_lies_elsewhere_counts_where_it_was_forwarded_to_and_must_have_been() -> None:
    elsewhere = Record(Partition(SearchQuery.topic, 1), 4, None, query().encode(), ASKED)
    shopping = read(judged("a"), judged("b"))
    shopping.take(elsewhere)
    assert f"{elsewhere.partition} @ 4: at home elsewhere, and not forwarded" in differences(shopping)
    message = forwarded(elsewhere, 0)
    at = Partition(message.topic, 0)
    shopping.take(Record(at, 0, message.key, message.value, NOW, message.headers))
    assert differences(shopping) == []


def test_a_pair_that_was_shown_and_not_judged_is_found() -> None:
    [difference] = differences(read(query(), judged("a")))
    assert "not judged" in difference
    assert "b" in difference


def test_a_judgement_of_what_was_never_shown_is_found() -> None:
    [difference] = differences(read(query(), judged("a"), judged("b"), judged("phantom")))
    assert "phantom" in difference
    assert "nothing counts for it" in difference


@pytest.mark.parametrize("impressions", [0, 2, 100])
def test_a_wrong_count_is_found_with_both(impressions) -> None:
    [difference] = differences(read(query(), judged("a", impressions), judged("b")))
    assert f": judged from shown {impressions}, shoppers " in difference
    assert "recounted shown 1, " in difference


def test_a_click_that_was_not_counted_is_found() -> None:
    [difference] = differences(read(query(), click("a"), judged("a"), judged("b")))
    assert "click 1" in difference


def test_an_action_that_came_twice_counts_once() -> None:
    once = read(query(), click("a"), judged("a"), judged("b"))
    twice = read(query(), click("a"), click("a"), judged("a"), judged("b"))
    assert differences(once) == differences(twice)


def test_a_grade_that_does_not_follow_from_the_counts_is_found() -> None:
    [difference] = differences(read(query(), judged("a", grade=2.5), judged("b")))
    assert difference.endswith("do not follow from its counts")


def test_a_tombstone_takes_a_judgement_back() -> None:
    shopping = read(query(), judged("a"), judged("b"))
    shopping.take(Record(Partition(Judgement.topic, 0), 9, judged("b").key(), None, NOW))
    assert len(differences(shopping)) == 1


def test_a_topic_that_is_not_there_is_a_difference() -> None:
    assert differences(Shopping(), {}) == [
        f"there is no topic {SearchQuery.topic}",
        f"there is no topic {SearchEvent.topic}",
    ]


def test_what_retention_took_from_inside_the_window_can_not_be_proven() -> None:
    [difference] = differences(read(query(), judged("a"), judged("b")), {QUERIES: 7, EVENTS: 0})
    assert difference.startswith(f"{QUERIES}: its first 7 messages are gone (retention)")


def test_what_retention_took_from_before_the_window_is_a_note() -> None:
    shopping = Shopping()
    shopping.oldest = {QUERIES: NOW - timedelta(days=365), EVENTS: NOW - timedelta(days=365)}
    result = _compare(shopping, {QUERIES: 7, EVENTS: 3}, Settings(), NOW)
    assert list(result.differences) == []
    assert result.notes == ["10 queries and events are gone (retention), all before the window"]


def test_what_is_older_than_the_window_does_not_count() -> None:
    later = NOW + timedelta(days=Settings().judgements.window_days + 2)
    assert differences(read(query()), now=later) == []


def test_what_the_rules_leave_out_is_a_note() -> None:
    result = _compare(
        read(query(), click("a", query_id="unknown"), judged("a"), judged("b")), BEGINNINGS, Settings(), NOW
    )
    assert list(result.differences) == []
    assert any("by the rules these do not count: 1 " in note for note in result.notes)


def test_an_event_that_can_not_be_used_must_be_a_dead_letter() -> None:
    bad = Record(EVENTS, 0, b"q", b"{", ASKED)
    shopping = Shopping()
    shopping.take(bad)
    [difference] = differences(shopping)
    assert "no dead letter says so" in difference
    letter = headers(bad, PoisonError("json.invalid", "it ends too soon"), reader="judgements", by=Record)
    shopping.take(Record(Partition(f"{EVENTS.topic}.dlq", 0), 0, b"q", b"{", ASKED, letter))
    assert differences(shopping) == []
