from datetime import UTC, datetime

from services.search.domain.route import route
from shared.cluster.members import OwnerRecord

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL, OTHER = "0123456789abcdef", "fedcba9876543210"


def owner(partition, url="http://a", **other):
    return OwnerRecord(
        **{
            "url": url,
            "instance": url,
            "partition": partition,
            "partitions": 2,
            "epoch": 1,
            "next_offset": 5,
            "end_offset": 5,
            "ready": True,
            "fingerprint": MODEL,
            "dimensions": 4,
            "updated_at": NOW,
            **other,
        }
    )


def urls(plan):
    return {number: [each.url for each in found] for number, found in plan.choices.items()}


def test_a_partition_without_an_owner_is_named():
    plan = route([owner(0)], fingerprint=MODEL)
    assert urls(plan) == {0: ["http://a"], 1: []}
    assert plan.unserved == {1: "no owner serves this partition"}


def test_an_owner_that_catches_up_is_not_asked_and_says_how_far_it_is():
    plan = route([owner(0), owner(1, ready=False, next_offset=3)], fingerprint=MODEL)
    assert plan.unserved == {1: "its owner is catching up: at 3 of 5"}


def test_another_model_is_not_asked_unless_the_query_has_no_vector():
    owners = [owner(0), owner(1, fingerprint=OTHER)]
    assert list(route(owners, fingerprint=MODEL).unserved) == [1]
    assert "fingerprint.mismatch" in route(owners, fingerprint=MODEL).unserved[1]
    assert not route(owners, fingerprint=None).unserved


def test_an_owner_of_another_layout_is_not_asked():
    plan = route([owner(0), owner(1), owner(2, partitions=4)], fingerprint=MODEL)
    assert plan.partitions == 2
    assert set(plan.choices) == {0, 1}


def test_replicas_take_turns():
    owners = [owner(0), owner(0, "http://b"), owner(1)]
    assert urls(route(owners, fingerprint=MODEL, turn=0))[0] == ["http://a", "http://b"]
    assert urls(route(owners, fingerprint=MODEL, turn=1))[0] == ["http://b", "http://a"]


def test_nobody_announced_means_no_partitions():
    assert route([], fingerprint=MODEL).partitions == 0
