"""Events carry what their query says; what is none is refused before it is sent."""

from datetime import UTC, datetime

import pytest

from headrace.answers import Answer
from headrace.errors import EventRefusedError
from headrace.events import event, message
from schemas.golden import golden
from schemas.search import SearchEvent
from schemas.search_api import SearchResponse
from shared.errors import ConfigurationError

RESPONSE = SearchResponse.model_validate_json(golden("search_api.SearchResponse"))
LAST = RESPONSE.hits[-1]


def sent(action: str, **options: object) -> SearchEvent:
    return event(action, options)  # type: ignore[arg-type]  # its names


def answer() -> Answer:
    return Answer.of(RESPONSE, {"client_id": "c1", "session_id": "s1"}, sent)


@pytest.mark.parametrize(
    ("action", "act"),
    [("click", Answer.click), ("add_to_cart", Answer.add_to_cart), ("purchase", Answer.purchase)],
)
def test_an_action_carries_query_shopper_product_and_place(action: str, act: object) -> None:
    done = act(answer(), LAST.product_id)  # type: ignore[operator]  # a method
    assert (done.action_name, done.query_id, done.client_id, done.session_id) == (
        action,
        RESPONSE.query_id,
        "c1",
        "s1",
    )
    assert done.event_attributes.object.object_id == LAST.product_id
    assert done.event_attributes.position.ordinal == LAST.rank
    assert message(done).key == RESPONSE.query_id.encode()


def test_an_answer_is_the_answer_of_the_api() -> None:
    assert answer().model_dump() == RESPONSE.model_dump()
    assert (
        answer().click(LAST).event_attributes.position
        == answer().click(LAST.product_id).event_attributes.position
    )


def test_any_action_may_be_said_with_more() -> None:
    done = answer().event("favourite", LAST, user_id="u1", timestamp=datetime(2026, 11, 21, tzinfo=UTC))
    assert (done.action_name, done.user_id, done.timestamp.day) == ("favourite", "u1", 21)


def test_a_product_that_was_not_shown_needs_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"none of the .* products of this answer"):
        answer().click("elsewhere")
    assert answer().event("click", "elsewhere", position=9).event_attributes.position.ordinal == 9  # type: ignore[union-attr]


def test_two_events_are_two_and_one_that_is_sent_again_is_one() -> None:
    first, second = sent("click", query_id="q"), sent("click", query_id="q")
    assert first.event_id != second.event_id
    assert sent("click", query_id="q", event_id="e").event_id == "e"


@pytest.mark.parametrize(
    "options",
    [
        {"timestamp": datetime(2026, 11, 21)},  # noqa: DTZ001 - that is it
        {"query_id": "q" * 101},
        {"client_id": 7},
        {"product_id": ["p"]},
        {"position": "first"},
        {"attributes": object()},
    ],
)
def test_what_is_no_event_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(EventRefusedError):
        sent("click", **options)
