"""What every shard promises, run on the fake and on the real one with its head, segments and both."""

import numpy as np
import pytest

from schemas.filters import TermFilter
from services.shards.searching import ViewQuery
from tests.unit.shards.builders import EAST, NORTH, NOW, SOUTH, log, message, opened, unit
from tests.unit.shards.fake import FakeShard, RealShard


class Sealed(RealShard):
    """Everything in segments at every search."""

    def apply(self, entries, next_offset):
        super().apply(entries, next_offset)
        self.shard.checkpoint(NOW)


@pytest.fixture(params=["fake", "head", "sealed"])
def shard(request, place):
    if request.param == "fake":
        yield FakeShard()
        return
    real = opened(place)
    yield (Sealed if request.param == "sealed" else RealShard)(real)
    real.close()


@pytest.fixture(params=[False, True], ids=["index", "exact"])
def ask(request, shard):
    def ask(vector, k=5, filters=()):
        return shard.nearest(
            ViewQuery(vector=vector, k=k, mode="dense", filters=filters, exact=request.param)
        )

    return ask


def names(found):
    return [product_id for product_id, _ in found]


def test_an_empty_shard_finds_nothing(ask):
    assert ask(NORTH) == []


def test_asking_for_more_than_there_is_returns_what_there_is(shard, ask):
    shard.apply(log(message("n", NORTH)), 1)
    assert names(ask(NORTH, k=5)) == ["n"]


def test_asking_for_nothing_returns_nothing(shard, ask):
    shard.apply(log(message("n", NORTH)), 1)
    assert ask(NORTH, k=0) == []


def test_the_nearest_comes_first_with_its_inner_product(shard, ask):
    shard.apply(log(message("s", SOUTH), message("e", EAST), message("n", NORTH)), 3)
    assert ask(NORTH) == [("n", pytest.approx(1)), ("e", pytest.approx(0)), ("s", pytest.approx(-1))]


def test_an_overwritten_product_is_found_where_it_is_now_and_only_there(shard, ask):
    shard.apply(log(message("a", NORTH)), 1)
    shard.apply(log(message("a", SOUTH, source=1), start=1), 2)
    assert ask(NORTH) == [("a", pytest.approx(-1))]


def test_an_overwrite_within_one_batch_leaves_one_product(shard, ask):
    shard.apply(log(message("a", NORTH), message("a", EAST, source=1)), 2)
    assert ask(EAST) == [("a", pytest.approx(1))]


def test_a_deleted_product_is_gone_and_may_come_back(shard, ask):
    shard.apply(log(message("a", NORTH), message("b", EAST)), 2)
    shard.apply(log(message("a", source=1, deleted=True), start=2), 3)
    assert names(ask(NORTH)) == ["b"]
    shard.apply(log(message("a", NORTH, source=2), start=3), 4)
    assert names(ask(NORTH)) == ["a", "b"]


def test_a_tombstone_takes_a_product_out(shard, ask):
    shard.apply(log(message("a", NORTH), message("b", EAST)), 2)
    shard.apply(log("a", "never-seen", start=2), 4)
    assert names(ask(NORTH)) == ["b"]


STRANGE = ("AB 123", "STÜHLE-1", "靴/1", "ä" * 64)


def test_an_id_may_be_any_text(shard, ask):
    shard.apply(log(*(message(strange, NORTH) for strange in STRANGE)), 4)
    assert set(names(ask(NORTH))) == set(STRANGE)
    shard.apply(log("STÜHLE-1", message("AB 123", source=1, deleted=True), start=4), 6)
    assert set(names(ask(NORTH))) == {"靴/1", "ä" * 64}


def test_an_id_of_any_text_is_on_disk_as_it_was(place):
    first = opened(place)
    first.apply(log(*(message(strange, NORTH) for strange in STRANGE)), 4)
    first.apply(log(message("AB 123", source=1, deleted=True), start=4), 5)
    first.checkpoint(NOW)
    first.close()
    again = opened(place, epoch=2)
    again.apply(log("STÜHLE-1", start=5), 6)
    asked = ViewQuery(vector=NORTH, k=5, mode="dense", filters=(), exact=True)
    assert set(names(RealShard(again).nearest(asked))) == {"靴/1", "ä" * 64}
    again.close()


def test_what_a_fenced_embedder_still_writes_changes_nothing(shard, ask):
    shard.apply(log(message("a", NORTH, source=5, epoch=2)), 1)
    shard.apply(
        log(message("a", SOUTH, source=9, epoch=1), message("a", source=9, epoch=1, deleted=True), start=1), 3
    )
    assert ask(NORTH) == [("a", pytest.approx(1))]


def test_a_late_record_of_a_former_owner_does_not_resurrect_a_deleted_product(shard, ask):
    shard.apply(log(message("a", NORTH, source=1)), 1)
    late = message("a", NORTH, source=9, epoch=1)
    shard.apply(log(message("a", source=2, epoch=2, deleted=True), late, start=1), 3)
    assert ask(NORTH) == []


def test_of_one_owner_the_later_record_counts_wherever_its_change_lay(shard, ask):
    shard.apply(log(message("a", NORTH, source=7), message("a", SOUTH, source=3)), 2)
    assert ask(SOUTH) == [("a", pytest.approx(1))]


def test_a_batch_that_comes_again_changes_nothing(shard, ask):
    batch = log(message("a", NORTH), message("b", EAST))
    shard.apply(batch, 2)
    shard.apply(log(message("a", SOUTH, source=1), start=2), 3)
    shard.apply(batch, 2)
    assert shard.next_offset == 3
    assert ask(NORTH) == [("b", pytest.approx(0)), ("a", pytest.approx(-1))]


def test_an_empty_batch_moves_the_offset(shard, ask):
    shard.apply([], 7)
    assert shard.next_offset == 7


def test_a_product_counts_as_its_best_passage_and_once(shard, ask):
    many = [
        message("long", *([EAST, NORTH] * 20)),
        message("short", unit(0.1, 0.9, 0, 0)),
        message("s", SOUTH),
    ]
    shard.apply(log(*many), 3)
    assert names(ask(NORTH, k=2)) == ["long", "short"]
    assert names(ask(NORTH, k=3)) == ["long", "short", "s"]


def test_a_product_without_a_vector_is_never_near_anything(shard, ask):
    shard.apply(log(message("blank", dimensions=4), message("s", SOUTH)), 2)
    assert names(ask(NORTH)) == ["s"]


def test_filters_decide_before_the_cut_at_k(shard, ask):
    rare = [message(f"p{n}", NORTH, fields={"color": "red"}) for n in range(40)]
    shard.apply(log(*rare, message("blue", SOUTH, fields={"color": "blue"})), 41)
    assert names(ask(NORTH, k=1, filters=(TermFilter(op="term", field="color", value="blue"),))) == ["blue"]


def test_a_query_that_is_not_a_number_finds_nothing(shard, ask):
    shard.apply(log(message("a", NORTH)), 1)
    assert ask(np.full(4, np.nan, np.float32)) == []
