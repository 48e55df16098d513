"""Fenced state on a dictionary keeps the contract, and its epochs whatever the clock does."""

import copy
from contextlib import asynccontextmanager
from itertools import count

from shared.state.fenced import StateKeys
from shared.testing.fenced import DictHash
from tests.contracts.fenced_hash import FencedHashContract

KEYS = StateKeys("n:{partition}:")


class DictSite:
    def __init__(self):
        self.hash = DictHash(count(1_700_000_000_000_000).__next__)
        self.keys = KEYS

    async def empty(self):
        self.hash.states.clear()

    async def save(self):
        return copy.deepcopy(self.hash.states)

    async def restore(self, saved):
        self.hash.states = copy.deepcopy(saved)


class TestDictHash(FencedHashContract):
    @asynccontextmanager
    async def open_site(self):
        yield DictSite()


async def test_an_epoch_goes_up_when_the_clock_goes_back():
    moments = iter([1_000, 10, 10, 2_000, 5])
    states = DictHash(moments.__next__)
    epochs = [(await states.claim(KEYS)).epoch for _ in range(5)]
    assert epochs == [1_000, 1_001, 1_002, 2_000, 2_001]


async def test_when_state_is_lost_and_the_clock_went_back_the_log_keeps_the_epoch_up():
    states = DictHash(iter([1_000, 10]).__next__)
    before = await states.claim(KEYS)
    states.states.clear()
    assert (await states.claim(KEYS, seen_epoch=before.epoch)).epoch == 1_001
