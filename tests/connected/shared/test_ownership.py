"""Leases: who fails to begin lets go, and tries again."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from shared.cluster.assignment import AssignmentSpec, PartitionAssignment
from shared.errors import TransientError

pytestmark = pytest.mark.connected


class Holder:
    """Cannot begin while `broken`."""

    def __init__(self):
        self.broken = True
        self.holds = {}

    def seen_epoch(self, _):
        return 0

    async def take(self, partition, epoch):
        if self.broken:
            raise TransientError("the broker is away")
        self.holds[partition] = epoch

    async def drop(self, partition):
        self.holds.pop(partition, None)


async def test_a_partition_that_could_not_be_begun_is_taken_again_when_the_broker_is_back(
    redis_url, namespace
):
    redis, holder = Redis.from_url(redis_url), Holder()
    claim = AssignmentSpec(base=f"{namespace}:lease", member="one", partitions=2, ttl=timedelta(seconds=30))
    ownership = PartitionAssignment(redis, claim, holder)
    with pytest.raises(TransientError):
        await ownership.tick()
    holder.broken = False
    await ownership.tick()
    assert holder.holds.keys() == {0, 1}
    await ownership.stop()
    assert holder.holds == {}
    await redis.aclose()
