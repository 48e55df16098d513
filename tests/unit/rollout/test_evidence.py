"""What is announced of a generation, put together: one owner a shard, the furthest reader a partition."""

from hypothesis import given
from hypothesis import strategies as st

from services.rollout.evidence import Announcements, summary
from shared.cluster.registry import OwnerRecord, ReaderRecord
from shared.generations.status import GenerationStatus
from tests.unit.rollout.conftest import NOW, canary


def owner(shard, **changes):
    return OwnerRecord.model_validate(
        {
            "url": "http://s",
            "instance": "s",
            "partition": shard,
            "partitions": 2,
            "epoch": 1,
            "next_offset": 100,
            "end_offset": 100,
            "ready": True,
            "documents": 50,
            "updated_at": NOW,
            **changes,
        }
    )


CHANGES, FORWARDED = "catalogue.changes.v1", "catalogue.changes.v1.repartition"


def reader(partition, **changes):
    return ReaderRecord.model_validate(
        {
            "instance": "e",
            "topic": FORWARDED,
            "partition": partition,
            "partitions": 2,
            "next_offset": 100,
            "end_offset": 100,
            "updated_at": NOW,
            **changes,
        }
    )


def status(worker, name="running", **changes):
    return GenerationStatus(generation="g2", status=name, worker=worker, instance="a", **changes)


def of(owners=(), readers=(), statuses=(), canaries=None, partitions=2):
    announced = Announcements(owners=owners, readers=readers, statuses=statuses, canaries=canaries or {})
    return summary("g2", announced, partitions=partitions)


def test_of_a_generation_that_nobody_works_on_nothing_is_known():
    nothing = of()
    assert (nothing.ready, nothing.documents, nothing.taken_over, nothing.lag) == (0, 0, 0, 0)
    assert (nothing.partitions, nothing.sources) == (2, 2)
    assert (nothing.running, nothing.waiting, nothing.refused) == (frozenset(), {}, "")


def test_shards_are_counted_once_by_their_best_owner():
    replicas = [
        owner(0),
        owner(0, url="http://t", ready=False, next_offset=100, documents=9),
        owner(1, ready=False, next_offset=40, documents=20),
        owner(1, url="http://t", ready=False, next_offset=60, documents=30),
    ]
    for owners in (replicas, replicas[::-1]):
        evidence = of(owners)
        assert (evidence.ready, evidence.documents, evidence.shard_lag) == (1, 80, 40)


def test_one_that_is_ready_is_better_than_one_that_is_further():
    evidence = of([owner(0, ready=False, next_offset=100), owner(0, url="http://t", next_offset=90)])
    assert (evidence.ready, evidence.shard_lag) == (1, 10)


def test_an_owner_that_is_ahead_of_the_end_it_last_saw_is_not_behind():
    assert of([owner(0, next_offset=105)]).shard_lag == 0


def test_the_embedder_is_behind_by_what_its_furthest_readers_have_to_go():
    readers = [reader(0, next_offset=60), reader(0, instance="f", next_offset=90), reader(1, next_offset=99)]
    evidence = of(readers=readers)
    assert (evidence.taken_over, evidence.embedder_lag) == (2, 11)


def test_it_is_behind_in_both_logs_and_homes_are_counted_once():
    readers = [reader(n, topic=topic, next_offset=95) for n in range(2) for topic in (CHANGES, FORWARDED)]
    evidence = of(readers=readers)
    assert (evidence.taken_over, evidence.embedder_lag) == (2, 20)


def test_a_partition_whose_state_is_still_filled_is_not_taken_over():
    evidence = of(readers=[reader(0), reader(1, next_offset=None)])
    assert (evidence.taken_over, evidence.sources) == (1, 2)


def test_only_readers_of_the_changes_count():
    assert of(readers=[reader(0, topic="search.events.v1")]).taken_over == 0


def test_who_works_may_know_of_more_partitions_than_are_configured():
    evidence = of([owner(0, partitions=8)], [reader(0, partitions=6)])
    assert (evidence.partitions, evidence.sources) == (8, 6)
    assert of([owner(0, partitions=1)], [reader(0, partitions=1)], partitions=4).partitions == 4


def test_workers_serve_it_or_wait_with_a_reason_or_refuse_its_model():
    evidence = of(
        statuses=[
            status("shards"),
            status("embedder", "starting", reason="the model is being loaded"),
            status("search", "failed", reason="auto_map names code to run", refused=True),
        ]
    )
    assert evidence.running == {"shards/a"}
    assert evidence.waiting == {
        "embedder/a": "the model is being loaded",
        "search/a": "auto_map names code to run",
    }
    assert evidence.refused == "search: auto_map names code to run"


def test_one_that_failed_but_may_yet_succeed_does_not_refuse():
    assert of(statuses=[status("search", "failed", reason="out of memory")]).refused == ""


def test_the_canaries_last_results_are_passed_on():
    assert of(canaries={"c": canary(0.5)}).canaries["c"].recall == 0.5


owners = st.lists(
    st.builds(
        owner,
        st.integers(0, 3),
        url=st.sampled_from(["http://s", "http://t"]),
        next_offset=st.integers(0, 100),
        ready=st.booleans(),
        documents=st.integers(0, 9),
    ),
    max_size=8,
)


@given(owners, st.randoms(use_true_random=False))
def test_in_whatever_order_they_announce_themselves_as_many_shards_are_ready(announced, rng):
    shuffled = list(announced)
    rng.shuffle(shuffled)
    evidence, again = of(announced, partitions=4), of(shuffled, partitions=4)
    ready = {one.partition for one in announced if one.ready}
    assert evidence.ready == again.ready == len(ready)
    assert evidence.shard_lag == again.shard_lag
