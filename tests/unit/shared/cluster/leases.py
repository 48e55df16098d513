"""A lease in memory, and the one suite that it and the lease in Redis pass."""

from shared.errors import TransientError


class MemoryLeases:
    """What Redis would hold; `away` makes every question fail."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.epochs: dict[str, int] = {}
        self.away = False

    def lease(self, name: str, owner: str) -> "MemoryLease":
        return MemoryLease(self, name, owner)

    async def expire(self, name: str) -> None:
        """Let the lease run out."""
        self.owners.pop(name, None)


class MemoryLease:
    """One named lease, as `Lease` is one."""

    def __init__(self, leases: MemoryLeases, name: str, owner: str) -> None:
        self._leases, self._name, self._owner = leases, name, owner
        self._epoch = 0

    async def acquire(self, *, seen_epoch: int = 0) -> int | None:
        if self._held() not in (None, self._owner):
            return None
        self._leases.owners[self._name] = self._owner
        epoch = max(self._leases.epochs.get(self._name, 0), seen_epoch) + 1
        self._leases.epochs[self._name] = self._epoch = epoch
        return epoch

    async def renew(self) -> bool:
        if self._held() is None and self._epoch and self._leases.epochs.get(self._name) == self._epoch:
            self._leases.owners[self._name] = self._owner
        return self._held() == self._owner

    async def release(self) -> None:
        self._epoch = 0
        if self._held() == self._owner:
            del self._leases.owners[self._name]

    def _held(self) -> str | None:
        if self._leases.away:
            raise TransientError("Redis is away")
        return self._leases.owners.get(self._name)


class LeaseSuite:
    """`leases` is a fixture with `lease(name, owner)` and `expire(name)`."""

    async def test_one_owner_has_it_at_a_time(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        assert await one.acquire()
        assert await other.acquire() is None
        assert await leases.lease("another", "other").acquire()

    async def test_the_epoch_grows_with_every_owner_and_with_every_take(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        first = await one.acquire()
        again = await one.acquire()
        await one.release()
        second = await other.acquire()
        assert first < again < second

    async def test_the_epoch_is_above_what_the_state_has_seen(self, leases) -> None:
        seen = 2**52
        assert await leases.lease("shard", "one").acquire(seen_epoch=seen) == seen + 1

    async def test_a_lease_is_renewed_by_its_owner_alone(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        assert not await one.renew()
        await one.acquire()
        assert await one.renew()
        assert not await other.renew()

    async def test_a_lease_that_ran_out_is_anothers_and_its_old_owner_is_told(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        before = await one.acquire()
        await leases.expire("shard")
        after = await other.acquire()
        assert after > before
        assert not await one.renew()

    async def test_a_lease_that_ran_out_and_that_nobody_took_is_still_its_owners(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        await one.acquire()
        await leases.expire("shard")
        assert not await other.renew()
        assert await one.renew()
        assert await other.acquire() is None

    async def test_a_lease_that_another_had_meanwhile_does_not_come_back(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        await one.acquire()
        await leases.expire("shard")
        await other.acquire()
        await other.release()
        assert not await one.renew()

    async def test_who_let_go_has_it_no_more(self, leases) -> None:
        one = leases.lease("shard", "one")
        await one.acquire()
        await one.release()
        assert not await one.renew()

    async def test_a_late_release_takes_it_from_nobody(self, leases) -> None:
        one, other = leases.lease("shard", "one"), leases.lease("shard", "other")
        await one.acquire()
        await leases.expire("shard")
        await other.acquire()
        await one.release()
        assert await other.renew()
        await other.release()
        assert await one.acquire()
