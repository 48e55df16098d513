"""One of several leads: it writes under its epoch, steps back when it may not be the one, and comes again."""

import asyncio
from datetime import timedelta

import pytest

from shared.cluster.leader import Leadership
from shared.errors import FencedError, TransientError
from shared.process.periodic import TROUBLE_PAUSE
from tests.unit.shared.cluster.leases import LeaseSuite, MemoryLeases
from tests.unit.shared.virtual_time import virtually

TTL = timedelta(seconds=9)
A_TURN = TTL.total_seconds() / 3


class TestMemoryLease(LeaseSuite):
    @pytest.fixture
    def leases(self) -> MemoryLeases:
        return MemoryLeases()


class Cluster:
    """Members that want to lead, and what they did while they led."""

    def __init__(self) -> None:
        self.leases = MemoryLeases()
        self.members: dict[str, Leadership] = {}
        self.written: list[tuple[str, int]] = []

    async def join(self, name: str) -> Leadership:
        member = Leadership(self.leases.lease("monitor", name), ttl=TTL)
        self.members[name] = member
        await member.start()
        await asyncio.sleep(0)
        return member

    async def write(self, name: str) -> None:
        async def look(epoch: int) -> None:
            if epoch < self.leases.epochs["monitor"]:
                raise FencedError(f"epoch {epoch}")
            self.written.append((name, epoch))

        await self.members[name].leader_only(look)()

    @property
    def leaders(self) -> list[str]:
        return [name for name, member in self.members.items() if member.epoch is not None]

    async def stop(self) -> None:
        for member in self.members.values():
            await member.stop()


def test_of_those_who_want_to_lead_one_does_and_its_work_alone_is_done():
    async def story() -> Cluster:
        cluster = Cluster()
        for name in ("one", "two", "three"):
            await cluster.join(name)
        for _ in range(5):
            for name in cluster.members:
                await cluster.write(name)
            await asyncio.sleep(A_TURN)
        assert cluster.leaders == ["one"]
        await cluster.stop()
        return cluster

    assert virtually(story()).written == [("one", 1)] * 5


def test_who_leaves_is_followed_at_once_with_a_higher_epoch():
    async def story() -> Cluster:
        cluster = Cluster()
        for name in ("one", "two"):
            await cluster.join(name)
        await cluster.write("one")
        await cluster.members["one"].stop()
        await asyncio.sleep(A_TURN)
        await cluster.write("one")
        await cluster.write("two")
        await cluster.stop()
        return cluster

    assert virtually(story()).written == [("one", 1), ("two", 2)]


def test_a_leader_whose_lease_ran_out_is_told_and_leads_no_more():
    async def story() -> None:
        cluster = Cluster()
        await cluster.join("one")
        await cluster.leases.expire("monitor")
        await cluster.leases.lease("monitor", "two").acquire()
        await asyncio.sleep(A_TURN)
        assert cluster.leaders == []
        await cluster.stop()

    virtually(story())


def test_one_whose_write_is_fenced_steps_back_before_its_lease_says_so():
    async def story() -> None:
        cluster = Cluster()
        one = await cluster.join("one")
        cluster.leases.epochs["monitor"] += 1  # somebody else has written since
        await cluster.write("one")
        assert (one.epoch, cluster.written) == (None, [])
        await asyncio.sleep(A_TURN)
        await cluster.write("one")  # it asks again, and may
        assert [name for name, _ in cluster.written] == ["one"]
        await cluster.stop()

    virtually(story())


def test_while_redis_is_away_nobody_leads_and_afterwards_one_does():
    async def story() -> None:
        cluster = Cluster()
        await cluster.join("one")
        cluster.leases.away = True
        await asyncio.sleep(A_TURN)
        assert cluster.leaders == []
        cluster.leases.away = False
        await asyncio.sleep(A_TURN + TROUBLE_PAUSE.total_seconds())
        assert cluster.leaders == ["one"]
        await cluster.stop()

    virtually(story())


def test_a_stop_while_redis_is_away_ends_and_leaves_the_lease_to_run_out():
    async def story() -> Cluster:
        cluster = Cluster()
        await cluster.join("one")
        cluster.leases.away = True
        await cluster.stop()
        await cluster.members["one"].wait()
        return cluster

    cluster = virtually(story())
    assert (cluster.leaders, cluster.leases.owners) == ([], {"monitor": "one"})


def test_what_goes_wrong_in_the_work_is_its_own_business():
    async def story() -> None:
        cluster = Cluster()
        one = await cluster.join("one")

        async def look(epoch: int) -> None:
            raise TransientError("the disk is busy")

        with pytest.raises(TransientError, match="busy"):
            await one.leader_only(look)()
        assert cluster.leaders == ["one"]
        await cluster.stop()

    virtually(story())
