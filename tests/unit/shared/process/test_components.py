"""A group of components: started in order, stopped in reverse, failing with the first of them."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.errors import FatalError
from shared.process import components
from shared.process.components import ComponentGroup


class Story(list):
    def component(self, name, **behaviour):
        return Told(self, name, **behaviour)


class Told:
    """A component that writes down what is asked of it."""

    def __init__(self, story, name, *, starting=None, stopping=None):
        self.story, self.name, self.starting, self.stopping = story, name, starting, stopping

    async def start(self):
        self.story.append(f"start {self.name}")
        if self.starting is not None:
            await self.starting()

    async def stop(self):
        self.story.append(f"stop {self.name}")
        if self.stopping is not None:
            await self.stopping()


class Watched(Told):
    def __init__(self, story, name):
        super().__init__(story, name)
        self.ended = asyncio.get_running_loop().create_future()

    async def wait(self):
        await self.ended


class TakingIn(Told):
    def cease(self):
        self.story.append(f"cease {self.name}")


async def fail():
    raise FatalError("broken")


async def never():
    await asyncio.Event().wait()


async def swallowing():
    for _ in range(3):
        with suppress(asyncio.CancelledError):
            await never()


async def cancelled_from_within():
    raise asyncio.CancelledError


async def test_components_start_in_order_and_stop_in_reverse():
    story = Story()
    group = ComponentGroup([story.component("a")])
    group.add(story.component("b"))
    await group.start()
    await group.stop()
    assert story == ["start a", "start b", "stop b", "stop a"]


async def test_before_any_of_them_stops_nothing_new_is_taken_in():
    story = Story()
    group = ComponentGroup([TakingIn(story, "a"), ComponentGroup([TakingIn(story, "b")]), Told(story, "c")])
    await group.start()
    await group.stop()
    assert story[3:6] == ["cease a", "cease b", "stop c"]


async def test_only_what_was_started_is_stopped_that_which_failed_half_way_too():
    story = Story()
    group = ComponentGroup([story.component("a"), story.component("b", starting=fail), story.component("c")])
    with pytest.raises(FatalError):
        await group.start()
    await group.stop()
    assert story == ["start a", "start b", "stop b", "stop a"]


async def test_a_component_that_fails_to_stop_keeps_no_other_from_it():
    story = Story()
    group = ComponentGroup([story.component("a"), story.component("b", stopping=fail)])
    await group.start()
    await group.stop()
    assert story[-2:] == ["stop b", "stop a"]


async def test_nor_does_one_that_ends_with_a_cancellation_of_its_own():
    story = Story()
    group = ComponentGroup([story.component("a"), story.component("b", stopping=cancelled_from_within)])
    await group.start()
    await group.stop()
    assert story[-2:] == ["stop b", "stop a"]


async def test_nor_does_one_that_swallows_its_cancellation(monkeypatch):
    monkeypatch.setattr(components, "LEAST_SECONDS", 0.01)
    story = Story()
    group = ComponentGroup(
        [story.component("a"), story.component("b", stopping=swallowing)], drain=timedelta(0)
    )
    await group.start()
    await group.stop()
    assert story[-2:] == ["stop b", "stop a"]


async def test_whoever_is_cancelled_while_it_stops_a_group_cuts_the_component_in_hand():
    story, stopping, cut = Story(), asyncio.Event(), asyncio.Event()

    async def note_the_cut():
        stopping.set()
        try:
            await never()
        finally:
            cut.set()

    group = ComponentGroup([story.component("a", stopping=note_the_cut)])
    await group.start()
    ending = asyncio.ensure_future(group.stop())
    await stopping.wait()
    ending.cancel()
    await asyncio.wait([ending])
    assert ending.cancelled()
    await cut.wait()


async def test_nor_does_one_that_cannot_stop_within_the_drain(monkeypatch):
    monkeypatch.setattr(components, "LEAST_SECONDS", 0.01)
    story = Story()
    stuck = [story.component("a"), story.component("b", stopping=never), story.component("c", stopping=never)]
    group = ComponentGroup(stuck, drain=timedelta(0))
    await group.start()
    await group.stop()
    assert story[-3:] == ["stop c", "stop b", "stop a"]


async def test_a_group_that_is_stopped_while_it_starts_starts_no_more():
    story, going_on = Story(), asyncio.Event()
    group = ComponentGroup([story.component("a", starting=going_on.wait), story.component("b")])
    starting = asyncio.ensure_future(group.start())
    await asyncio.sleep(0)
    await group.stop()
    going_on.set()
    await starting
    assert story == ["start a", "stop a"]


async def test_waiting_raises_what_the_first_failing_component_raises():
    story = Story()
    sound, failing = Watched(story, "a"), Watched(story, "b")
    group = ComponentGroup([sound, story.component("unwatched"), failing])
    waiting = asyncio.ensure_future(group.wait())
    failing.ended.set_exception(FatalError("broken"))
    with pytest.raises(FatalError, match="broken"):
        await waiting


async def test_waiting_ends_when_all_have_stopped_and_at_once_when_none_can_be_watched():
    story = Story()
    first, second = Watched(story, "a"), Watched(story, "b")
    waiting = asyncio.ensure_future(ComponentGroup([first, second]).wait())
    first.ended.set_result(None)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.ended.set_result(None)
    await waiting
    await ComponentGroup([story.component("unwatched")]).wait()
