"""Attribute records in a shard: a product is the join of both its records, with the vectors that it had."""

import orjson
import pytest

from schemas.index import attributes_key
from services.shards import store
from services.shards.contents import FingerprintError
from services.shards.records import entry
from services.shards.searching import ViewQuery
from shared.catalogue.summaries import summaries
from tests.stamped import change, merged
from tests.unit.shards.builders import EAST, NORTH, NOW, attributes, log, message, opened, raw, stored

WRITTEN = change("upsert", 1, "p", title="lamp", price=1)
DEARER, SOLD = change("patch", 2, "p", price=2), change("patch", 3, "p", stock=0)
LAMP = message("p", NORTH, EAST, document=merged(WRITTEN))


@pytest.fixture(params=["one batch", "a batch each", "sealed"])
def shard(request, place):
    """Give what a shard takes: in one batch, in one each, or with a checkpoint behind each."""
    real = opened(place)

    def take(*records, start=0):
        entries = log(*records, start=start)
        if request.param == "one batch":
            real.apply(entries, start + len(entries))
        else:
            for one in entries:
                real.apply([one], one.offset + 1)
                if request.param == "sealed":
                    real.checkpoint(NOW)
        return real

    yield take
    real.close()


def fields(shard):
    return {name: product["fields"] for name, product in stored(shard).items()}


def nearest(shard, vector):
    return [hit.product_id for hit in shard.view.search(ViewQuery(vector=vector, mode="dense"))]


def test_what_it_says_is_joined_with_the_record_and_the_vectors_stay(shard):
    real = shard(LAMP, attributes("p", DEARER), attributes("p", DEARER, SOLD, source=2))
    assert fields(real) == {"p": {"title": "lamp", "price": 2, "stock": 0}}
    product = stored(real)["p"]
    assert product["revisions"] == orjson.loads(orjson.dumps(summaries(merged(WRITTEN, DEARER, SOLD))))
    assert (product["source"]["offset"], product["passages"]) == (2, [[0, 1], [0, 1]])
    [hit] = real.view.search(ViewQuery(vector=EAST, mode="dense"))
    assert (hit.passage, hit.offset, hit.fields["price"]) == (1, 2, 2)
    assert real.view.place("p").offset == 2


def test_of_each_field_the_higher_version_counts_whatever_came_last(shard):
    later = message("p", NORTH, document=merged(WRITTEN, change("patch", 9, "p", price=9)))
    assert fields(shard(later, attributes("p", DEARER, SOLD)))["p"] == {
        "title": "lamp",
        "price": 9,
        "stock": 0,
    }


def test_a_product_without_a_vector_has_attributes_too(shard):
    real = shard(message("p", document=merged(WRITTEN)), attributes("p", DEARER))
    assert (fields(real)["p"]["price"], nearest(real, NORTH)) == (2, [])


@pytest.mark.parametrize(
    "strange",
    [
        attributes("p", DEARER, epoch=0),
        attributes("p", DEARER, content_hash="of another text"),
        attributes("q", change("patch", 2, "q", price=2)),
    ],
    ids=["of a former owner", "of another text", "of no product"],
)
def test_beside_a_record_that_it_does_not_belong_to_it_says_nothing(shard, strange):
    assert fields(shard(LAMP, strange)) == {"p": {"title": "lamp", "price": 1}}


def test_what_a_former_owner_still_writes_says_nothing_behind_it(shard):
    real = shard(LAMP, attributes("p", DEARER, epoch=2), attributes("p", SOLD), LAMP)
    assert fields(real) == {"p": {"title": "lamp", "price": 2}}


def test_a_delete_ends_both_and_nothing_brings_it_back(shard):
    gone = message("p", deleted=True, document=merged(WRITTEN, change("delete", 4, "p")), epoch=1)
    end = attributes_key("p").decode()
    real = shard(LAMP, attributes("p", DEARER), gone, end, attributes("p", DEARER, SOLD))
    assert (fields(real), nearest(real, NORTH)) == ({}, [])


def test_compacted_its_record_may_lie_behind_it_and_says_it_all(shard):
    whole = message("p", NORTH, document=merged(WRITTEN, DEARER))
    assert fields(shard(attributes("p", DEARER), whole)) == {"p": {"title": "lamp", "price": 2}}


def test_read_again_it_changes_nothing(shard):
    real = shard(LAMP, attributes("p", DEARER))
    shard(LAMP, attributes("p", DEARER), attributes("p", DEARER, SOLD))
    assert fields(real) == {"p": {"title": "lamp", "price": 2, "stock": 0}}


def test_it_is_there_after_a_restart_and_goes_on(place):
    before = opened(place)
    before.apply(log(LAMP, attributes("p", DEARER)), 2)
    before.checkpoint(NOW)
    before.close()
    after = opened(place, epoch=2)
    after.apply(log(attributes("p", DEARER, SOLD), start=2), 3)
    assert fields(after) == {"p": {"title": "lamp", "price": 2, "stock": 0}}
    assert nearest(after, NORTH) == ["p"]
    after.close()


def test_one_of_another_model_is_refused(shard):
    real = shard(LAMP)
    other = attributes("p", DEARER).model_copy(update={"fingerprint": "f" * 16})
    with pytest.raises(FingerprintError):
        real.apply([entry(raw(1, other))], 2)


def test_a_snapshot_of_another_release_is_read_from_the_log_and_nobody_is_told(place, monkeypatch):
    before = opened(place)
    before.apply(log(LAMP), 1)
    before.checkpoint(NOW)
    before.close()
    monkeypatch.setattr(store, "ENGINE", "headrace/0")
    after = opened(place, epoch=2)
    assert (after.view.next_offset, after.refusals) == (None, ())
    after.close()
