"""Searches while records are applied, checkpointed and merged: always one consistent moment."""

import threading

import numpy as np
import pytest

from services.shards.searching import ViewQuery
from tests.unit.shards.builders import NORTH, NOW, log, message, opened, unit

PRODUCTS = 8
ROUNDS = 40


def written(turn: int):
    """All products at once, with a vector and a title that name the round."""
    vector = unit(1, turn + 1, 0, 0)
    return [
        message(f"p{number}", vector, fields={"title": f"turn {turn}", "turn": turn}, source=turn)
        for number in range(PRODUCTS)
    ]


def consistent(shard) -> int:
    """Check one answer: all products, all of the same round, in every way of asking; return the round."""
    view = shard.view
    hits = view.search(ViewQuery(vector=NORTH, text="turn", k=PRODUCTS))
    turns = {hit.fields["turn"] for hit in hits}
    assert len(hits) == PRODUCTS
    assert len(turns) == 1
    turn = turns.pop()
    assert view.next_offset == (turn + 1) * PRODUCTS
    for hit in hits:
        assert hit.dense == pytest.approx(float(unit(1, turn + 1, 0, 0).astype(np.float16) @ NORTH), abs=1e-3)
        assert hit.lexical is not None
        assert hit.offset // PRODUCTS == turn
    assert len(view.search(ViewQuery(vector=NORTH, k=PRODUCTS, mode="dense", exact=True))) == PRODUCTS
    return turn


def test_a_search_sees_one_moment_while_everything_changes(place):
    shard = opened(place, seal_rows=32)
    shard.apply(log(*written(0)), PRODUCTS)
    done, failures, seen = threading.Event(), [], set()

    def repeat(action):
        try:
            while not done.is_set():
                action()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failures.append(error)

    def keep():
        shard.checkpoint(NOW)
        shard.merge()

    threads = [threading.Thread(target=repeat, args=(lambda: seen.add(consistent(shard)),)) for _ in range(2)]
    threads.append(threading.Thread(target=repeat, args=(keep,)))
    for thread in threads:
        thread.start()
    for turn in range(1, ROUNDS):
        start = turn * PRODUCTS
        shard.apply(log(*written(turn), start=start), start + PRODUCTS)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    assert consistent(shard) == ROUNDS - 1
    shard.checkpoint(NOW)
    shard.close()
    again = opened(place, epoch=2)
    assert consistent(again) == ROUNDS - 1
    again.close()
    assert seen


def test_a_search_that_began_goes_on_in_its_own_moment(place):
    shard = opened(place)
    shard.apply(log(*written(0)), PRODUCTS)
    before = shard.view
    shard.apply(log(*written(1), "p0", start=PRODUCTS), 2 * PRODUCTS + 1)
    shard.checkpoint(NOW)
    shard.merge()
    hits = before.search(ViewQuery(vector=NORTH, text="turn", k=20))
    assert {(hit.product_id, hit.fields["turn"]) for hit in hits} == {(f"p{n}", 0) for n in range(PRODUCTS)}
    shard.close()
    assert len(before.search(ViewQuery(vector=NORTH, k=20, mode="dense"))) == PRODUCTS


def test_what_a_product_says_is_found_at_every_moment_while_it_is_overwritten_and_moved(place):
    shard = opened(place, seal_rows=32)
    shard.apply(log(*written(0)), PRODUCTS)
    done, missed, turns = threading.Event(), [], [0]

    def read():
        while not done.is_set():
            found = shard.place("p3")
            if found is None:
                missed.append(turns[-1])
            else:
                turns.append(found.part.parsed_fields(found.number)["turn"])

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, ROUNDS):
        start = turn * PRODUCTS
        shard.apply(log(*written(turn), start=start), start + PRODUCTS)
        if turn % 5 == 0:
            shard.checkpoint(NOW)
            shard.merge()
    done.set()
    reader.join()
    assert not missed
    assert turns == sorted(turns)
    assert shard.place("nobody") is None
    shard.close()
