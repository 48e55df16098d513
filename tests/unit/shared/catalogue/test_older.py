"""Products whose changes are older than what is known are remembered until their line catches up."""

from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Coordinates
from schemas.catalogue import Appended
from shared.catalogue.older import MOST, QUIET, MergedChange, OlderUpdate, update
from tests.stamped import NOON, change

OUTCOMES = st.sampled_from(["applied", "repeated", "older"])


def merged(*outcomes: str, product_id: str = "p", line: str = "version") -> list[MergedChange]:
    return [
        MergedChange(
            Coordinates(topic="changes", partition=0, offset=at),
            change("upsert", 1, product_id, line=line),
            outcome,
        )  # type: ignore[arg-type]
        for at, outcome in enumerate(outcomes)
    ]


def after(known: dict[str, str], changes: OlderUpdate) -> dict[str, str]:
    return {name: value for name, value in {**known, **changes.put}.items() if name not in changes.removed}


def test_older_changes_are_counted_by_line_and_product_with_the_place_of_the_last() -> None:
    changed = update({}, [*merged("older", "older"), *merged("older", line="debezium/mysql/s")], NOON)
    assert {name: orjson.loads(value) for name, value in changed.put.items()} == {
        "version\tp": [2, NOON.isoformat(), "changes-0 @ 1", 1],
        "debezium/mysql/s\tp": [1, NOON.isoformat(), "changes-0 @ 0", 1],
    }
    again = update(dict(changed.put), merged("older"), NOON + timedelta(hours=1))
    assert orjson.loads(again.put["version\tp"])[:2] == [3, (NOON + timedelta(hours=1)).isoformat()]


def test_what_came_long_after_the_last_one_is_counted_anew() -> None:
    """What a producer did in disorder last week says nothing of when it was restored today."""
    first = update({}, merged("older"), NOON).put
    later = MergedChange(
        Coordinates(topic="changes", partition=0, offset=9),
        change("upsert", 1, appended=Appended(700, 0, 9)),
        "older",
    )
    soon = update(first, [later], NOON + QUIET).put["version\tp"]
    late = update(first, [later], NOON + QUIET + timedelta(seconds=1)).put["version\tp"]
    assert (orjson.loads(soon)[0], orjson.loads(soon)[3]) == (2, 1)
    assert (orjson.loads(late)[0], orjson.loads(late)[3]) == (1, 700)


def test_a_line_that_caught_up_is_forgotten() -> None:
    known = dict(update({}, merged("older"), NOON).put)
    assert after(known, update(known, merged("repeated"), NOON)) == {}
    assert after(known, update(known, merged("applied", line="time"), NOON)) == known


def test_what_is_known_after_an_update_is_what_redis_has_then() -> None:
    update_of = OlderUpdate({"a": "2", "c": "1"}, ["b"])
    assert update_of.applied_to({"a": "1", "b": "1"}) == {"a": "2", "c": "1"}
    assert OlderUpdate({}, ()).applied_to({"a": "1"}) == {"a": "1"}


def test_no_more_are_remembered_than_are_worth_it() -> None:
    known = {f"version\t{number}": '[1,"",""]' for number in range(MOST)}
    assert update(known, merged("older"), NOON).put == {}


@given(st.lists(st.tuples(st.sampled_from("pq"), OUTCOMES), max_size=12), st.data())
def test_how_a_history_is_cut_into_batches_changes_nothing(history, data) -> None:
    changes = [one for product, outcome in history for one in merged(outcome, product_id=product)]
    cut = data.draw(st.integers(0, len(changes)))
    whole = after({}, update({}, changes, NOON))
    first = after({}, update({}, changes[:cut], NOON))
    assert after(first, update(first, changes[cut:], NOON)) == whole
    last = dict(history)
    assert {name.rpartition("\t")[2] for name in whole} == {one for one in last if last[one] == "older"}
