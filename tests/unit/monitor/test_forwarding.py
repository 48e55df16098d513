"""Messages that are forwarded are an alert of severity info that names the producer; then it ends."""

from datetime import UTC, datetime, timedelta

from services.monitor.freshness.domain.forwarding import forwarding
from shared.streaming.misplacement import Misplacement
from shared.streaming.repartition import Tally

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOPIC = "catalogue.changes.v1"


def tally(number: int, minutes_ago: int, example: str = f"{TOPIC}-3 @ 7") -> Tally:
    return Tally(number, (NOON - timedelta(minutes=minutes_ago)).isoformat(), example)


def observe(tallies: dict[Misplacement, Tally]):
    return forwarding(TOPIC, tallies, since=NOON - timedelta(minutes=30))


def test_nothing_forwarded_is_no_news():
    assert not observe({}).breached
    assert not observe({Misplacement.CRC32: tally(9, 31)}).breached


def test_librdkafka_is_named_with_what_to_set_and_what_it_costs():
    seen = observe({Misplacement.CRC32: tally(1200, 5)})
    assert (seen.breached, seen.severity, seen.key) == (True, "info", f"forwarded:{TOPIC}")
    assert f"1,200 messages of {TOPIC}" in seen.summary
    assert f"{TOPIC}-3 @ 7" in seen.summary
    assert "nothing is lost" in seen.summary
    assert "partitioner=murmur2_random" in seen.action


def test_causes_that_are_over_are_left_out_and_the_others_said_each():
    seen = observe(
        {
            Misplacement.NO_KEY: tally(3, 1, "here"),
            Misplacement.CRC32: tally(5, 9, "there"),
            Misplacement.JSON_KEY: tally(900, 45),
        }
    )
    assert seen.evidence["causes"] == ("CRC32", "no key")
    assert (seen.evidence["forwarded"], seen.evidence["example"]) == (8, "here")


def test_it_is_updated_when_a_cause_joins_or_the_number_grows_by_a_digit():
    few, more = (observe({Misplacement.CRC32: tally(n, 1)}).signature for n in (15, 17))
    assert few == more != observe({Misplacement.CRC32: tally(170, 1)}).signature
