"""The contract of fenced state, for every `FencedHash`: a subclass says where (`open_site`)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import FatalError, FencedError, LogReplacedError, StateGoneError, StateLostError
from shared.records import Log
from shared.state.fenced import FencedState, StateKeys
from shared.state.hash import FencedHash


class Site(Protocol):
    """A place where states are kept, and what can happen to it."""

    hash: FencedHash
    keys: StateKeys

    async def empty(self) -> None:
        """Lose everything."""

    async def save(self) -> object:
        """Return all there is."""

    async def restore(self, saved: object) -> None:
        """Be as it was when that was saved."""


class FencedHashContract:
    """What holds on a dictionary and on a server."""

    def open_site(self) -> AbstractAsyncContextManager[Site]:
        raise NotImplementedError

    @pytest.fixture
    async def site(self) -> AsyncIterator[Site]:
        async with self.open_site() as site:
            yield site

    async def test_a_new_state_has_seen_nothing(self, site):
        held = await site.hash.claim(site.keys)
        assert held.next_offset is None
        assert await site.hash.read(site.keys) == {}

    async def test_a_claim_raises_the_epoch_and_finds_the_offset(self, site):
        first = await site.hash.claim(site.keys)
        await site.hash.add(first, {"seen": 2}, next_offset=5)
        second = await site.hash.claim(site.keys)
        assert second.epoch > first.epoch
        assert second.next_offset == first.next_offset == 5
        assert await site.hash.read(site.keys) == {"seen": "2"}

    async def test_an_epoch_is_above_what_the_log_has_seen_and_what_json_holds_exactly(self, site):
        high = 2**52
        assert (await site.hash.claim(site.keys, seen_epoch=high)).epoch == high + 1
        assert (await site.hash.claim(site.keys)).epoch == high + 2

    async def test_an_older_epoch_is_refused_and_changes_nothing(self, site):
        zombie = await site.hash.claim(site.keys)
        owner = await site.hash.claim(site.keys)
        await site.hash.add(owner, {"seen": 1}, next_offset=1)
        for attempt in range(100):
            with pytest.raises(FencedError, match=f"epoch {owner.epoch}, ours is {zombie.epoch}"):
                await site.hash.add(zombie, {"seen": 1}, next_offset=attempt)
        assert await site.hash.read(site.keys) == {"seen": "1"}

    async def test_the_same_batch_again_is_harmless(self, site):
        held = await site.hash.claim(site.keys)
        unaware = replace(held)  # the reply is lost
        assert await site.hash.add(held, {"seen": 3}, next_offset=3)
        assert not await site.hash.add(unaware, {"seen": 3}, next_offset=3)
        assert not await site.hash.add(held, {"seen": 3}, next_offset=3)
        assert unaware == held
        assert await site.hash.read(site.keys) == {"seen": "3"}

    async def test_fields_are_replaced_with_the_offset(self, site):
        held = await site.hash.claim(site.keys)
        await site.hash.put(held, {"a": "x", "b": "y"}, next_offset=1)
        await site.hash.put(held, {"b": "z"}, next_offset=2)
        assert await site.hash.read(site.keys) == {"a": "x", "b": "z"}

    async def test_nothing_to_change_moves_the_offset(self, site):
        held = await site.hash.claim(site.keys)
        assert await site.hash.add(held, {}, next_offset=9)
        assert (await site.hash.claim(site.keys)).next_offset == 9

    async def test_a_state_that_moved_back_is_refused(self, site):
        held = await site.hash.claim(site.keys)
        await site.hash.add(held, {"seen": 3}, next_offset=3)
        saved = await site.save()
        await site.hash.add(held, {"seen": 2}, next_offset=5)
        await site.restore(saved)
        with pytest.raises(StateLostError, match=r"at offset 3, we left it at .* offset 5; start the worker"):
            await site.hash.add(held, {"seen": 1}, next_offset=6)
        assert await site.hash.read(site.keys) == {"seen": "3"}

    async def test_a_state_of_before_our_time_is_refused(self, site):
        before = await site.hash.claim(site.keys)
        await site.hash.add(before, {"seen": 3}, next_offset=3)
        saved = await site.save()
        held = await site.hash.claim(site.keys)
        await site.restore(saved)
        with pytest.raises(StateLostError, match="older data"):
            await site.hash.add(held, {"seen": 1}, next_offset=4)

    async def test_a_state_of_another_log_is_refused_and_changes_nothing(self, site):
        before = await site.hash.claim(site.keys, log=Log("a"))
        await site.hash.add(before, {"seen": 3}, next_offset=3)
        with pytest.raises(LogReplacedError, match="offset 3 of a topic a") as refused:
            await site.hash.claim(site.keys, log=Log("b"))
        assert (refused.value.identity, refused.value.offset) == ("a", 3)
        await site.hash.add(before, {"seen": 1}, next_offset=4)
        assert await site.hash.read(site.keys) == {"seen": "4"}

    async def test_a_state_goes_on_from_the_beginning_of_the_log_that_replaces_its_own(self, site):
        before = await site.hash.claim(site.keys, log=Log("a"))
        await site.hash.add(before, {"seen": 3}, next_offset=3)
        after = await site.hash.claim(site.keys, log=Log("b", replaces="a"))
        assert after.next_offset == 0
        with pytest.raises(FencedError):
            await site.hash.add(before, {"seen": 1}, next_offset=4)
        assert await site.hash.read(site.keys) == {"seen": "3"}
        await site.hash.add(after, {"seen": 1}, next_offset=1)
        assert (await site.hash.claim(site.keys, log=Log("b"))).next_offset == 1

    async def test_what_is_not_known_of_a_log_is_not_compared(self, site):
        first = await site.hash.claim(site.keys)
        await site.hash.add(first, {}, next_offset=3)
        for log in (Log("a"), Log(), Log("a")):
            assert (await site.hash.claim(site.keys, log=log)).next_offset == 3
        with pytest.raises(LogReplacedError):
            await site.hash.claim(site.keys, log=Log("b"))

    async def test_an_emptied_state_is_told(self, site):
        held = await site.hash.claim(site.keys)
        await site.hash.add(held, {"seen": 3}, next_offset=3)
        await site.empty()
        with pytest.raises(StateGoneError, match="has lost this state; start the worker"):
            await site.hash.add(held, {"seen": 1}, next_offset=4)
        assert await site.hash.read(site.keys) == {}

    async def test_an_epoch_is_above_those_that_an_emptied_state_had(self, site):
        epochs = []
        for _ in range(20):
            epochs.append((await site.hash.claim(site.keys)).epoch)
            await site.empty()
        assert epochs == sorted(set(epochs))

    async def test_a_state_that_was_removed_begins_anew(self, site):
        held = await site.hash.claim(site.keys)
        await site.hash.add(held, {"seen": 3}, next_offset=3)
        await site.hash.remove(site.keys)
        assert (await site.hash.claim(site.keys)).next_offset is None
        assert await site.hash.read(site.keys) == {}

    async def test_states_do_not_meet(self, site):
        other = StateKeys(site.keys.prefix.replace("{", "{other-"))
        held, neighbour = await site.hash.claim(site.keys), await site.hash.claim(other)
        await site.hash.add(held, {"seen": 3}, next_offset=3)
        assert neighbour.next_offset is None
        await site.hash.add(neighbour, {"seen": 1}, next_offset=1)
        assert await site.hash.read(site.keys) == {"seen": "3"}

    async def test_of_two_who_claim_at_once_one_owns_it(self, site):
        both = await asyncio.gather(*(site.hash.claim(site.keys) for _ in range(2)))
        done = await asyncio.gather(
            *(site.hash.add(held, {"seen": 1}, next_offset=1) for held in both), return_exceptions=True
        )
        assert sorted(map(type, done), key=str) == [bool, FencedError]
        assert await site.hash.read(site.keys) == {"seen": "1"}

    @settings(
        max_examples=150,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(steps=st.lists(st.deferred(lambda: STEPS), max_size=40))
    def test_whatever_happens_each_message_counts_once_and_no_epoch_comes_again(self, steps):
        async def run() -> None:
            async with self.open_site() as site:
                life = Life(site)
                for step in steps:
                    await step(life)
                    await life.check()

        asyncio.run(run())


@dataclass
class Kept:
    """The model of a state: who owns it, and where it ends."""

    epoch: int
    next_offset: int


@dataclass
class Life:
    """Some owners of one state, each at its own place, beside a model of what the state must be.

    Message `n` of the log counts `n + 1`, so that a sum tells which messages are in it.
    """

    site: Site
    model: Kept | None = None
    owners: dict[int, FencedState] = field(default_factory=dict)
    last: dict[int, tuple[FencedState, int]] = field(default_factory=dict)
    saved: list[tuple[object, Kept | None]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    async def claim(self, owner: int) -> None:
        held = await self.site.hash.claim(self.site.keys)
        assert (held.next_offset or 0) == (self.model.next_offset if self.model else 0)
        self.owners[owner] = held
        self.epochs.append(held.epoch)
        self.model = Kept(held.epoch, held.next_offset or 0)

    async def move(self, owner: int, count: int) -> None:
        if (held := self.owners.get(owner)) is not None:
            before = replace(held)
            following = (held.next_offset or 0) + count
            await self._write(held, before, following)
            self.last[owner] = (before, following)

    async def repeat(self, owner: int) -> None:
        """Send the last batch again, as one who has not heard the answer."""
        if owner in self.last and self.owners[owner].epoch == self.last[owner][0].epoch:
            held, following = self.last[owner]
            await self._write(replace(held), held, following)

    async def _write(self, held: FencedState, before: FencedState, following: int) -> None:
        start = before.next_offset or 0
        amount = sum(range(start + 1, following + 1))
        write = self.site.hash.add(held, {"sum": amount}, next_offset=following)
        (applied,) = await asyncio.gather(write, return_exceptions=True)
        if expected := self._expected(before, following):
            assert type(applied) is expected
            return
        assert self.model is not None
        assert applied == (self.model.next_offset != following)
        self.model.next_offset = following

    def _expected(self, held: FencedState, following: int) -> type[FatalError] | None:
        if self.model is None:
            return StateGoneError
        if self.model.epoch != held.epoch:
            return FencedError if self.model.epoch > held.epoch else StateLostError
        return None if self.model.next_offset in {following, held.next_offset or 0} else StateLostError

    async def empty(self) -> None:
        await self.site.empty()
        self.model = None

    async def save(self) -> None:
        self.saved.append((await self.site.save(), replace(self.model) if self.model else None))

    async def restore(self, number: int) -> None:
        if self.saved:
            saved, model = self.saved[number % len(self.saved)]
            await self.site.restore(saved)
            self.model = replace(model) if model else None

    async def check(self) -> None:
        assert self.epochs == sorted(set(self.epochs))
        end = self.model.next_offset if self.model else 0
        fields = await self.site.hash.read(self.site.keys)
        assert int(fields.get("sum", "0")) == sum(range(end + 1))


OWNERS, COUNTS = st.integers(0, 2), st.integers(1, 3)


def _step(name: str, *arguments: st.SearchStrategy[int]) -> st.SearchStrategy[Callable[[Life], object]]:
    return st.tuples(*arguments).map(lambda values: lambda life: getattr(life, name)(*values))


STEPS = st.one_of(
    _step("move", OWNERS, COUNTS),
    _step("move", OWNERS, COUNTS),
    _step("claim", OWNERS),
    _step("repeat", OWNERS),
    _step("empty"),
    _step("save"),
    _step("restore", st.integers(0, 4)),
)
