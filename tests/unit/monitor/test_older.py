"""A source whose versions went back is told of, with how many products stand still."""

from datetime import timedelta

from schemas.base import milliseconds
from services.monitor.freshness.domain.older import SETTLED, older_changes
from shared.catalogue.older import QUIET, OlderChanges
from tests.stamped import NOON

LINE = "debezium/postgresql/shop"
PRODUCTS = {
    "lamp": OlderChanges(3, NOON.isoformat(), "catalogue.changes.v1-0 @ 7"),
    "sofa": OlderChanges(1, (NOON - timedelta(seconds=1)).isoformat(), "catalogue.changes.v1-1 @ 2"),
}


def seen(after: timedelta, products=PRODUCTS):
    return older_changes(LINE, products, generation="g1", now=NOON + after)


def test_a_source_whose_changes_are_older_is_told_of_with_figures_and_an_example() -> None:
    observed = seen(SETTLED)
    assert (observed.breached, observed.severity) == (True, "warning")
    assert observed.key == f"older-changes:g1:{LINE}"
    assert "4 changes of 2 products, from debezium/postgresql/shop" in observed.summary
    assert "product lamp at catalogue.changes.v1-0 @ 7" in observed.summary
    assert (observed.evidence["changes"], observed.evidence["products"]) == (4, 2)


def test_the_way_out_is_a_command_from_the_first_of_them_on() -> None:
    assert f"`headrace catalogue accept --source {LINE} --from TIME`" in seen(SETTLED).action
    since = milliseconds(NOON) + 7
    known = {
        "lamp": OlderChanges(3, NOON.isoformat(), "catalogue.changes.v1-0 @ 7", since + 1),
        "sofa": OlderChanges(1, NOON.isoformat(), "catalogue.changes.v1-1 @ 2", since),
    }
    assert f"--source {LINE} --from 2026-11-20T12:00:00.007+00:00`" in seen(SETTLED, known).action
    named = older_changes("debezium/mysql/my shop", known, generation="g1", now=NOON + SETTLED)
    assert "--source 'debezium/mysql/my shop' --from" in named.action


def test_the_first_may_be_long_ago_and_of_a_product_that_has_not_changed_since() -> None:
    def older(hours: float) -> OlderChanges:
        moment = NOON - timedelta(hours=hours)
        return OlderChanges(1, moment.isoformat(), "catalogue.changes.v1-0 @ 7", milliseconds(moment))

    hourly = {"lamp": older(0), "sofa": older(0.9), "rug": older(1.8), "of last week": older(170)}
    observed = seen(SETTLED, hourly)
    assert observed.evidence["products"] == 2
    assert "--from 2026-11-20T10:12:00.000+00:00`" in observed.action


def test_a_connector_that_repeats_itself_has_time_to_catch_up() -> None:
    assert not seen(timedelta(seconds=5)).breached
    assert not seen(SETTLED, {}).breached


def test_the_alert_ends_when_nothing_older_came_for_long() -> None:
    assert seen(QUIET).breached
    assert not seen(QUIET + timedelta(seconds=1)).breached


def test_the_name_of_any_source_makes_a_key() -> None:
    assert older_changes("debezium/mysql/ein Laden", PRODUCTS, generation="g1", now=NOON).key.isascii()
