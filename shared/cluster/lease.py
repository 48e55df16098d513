"""A lease in Redis: one owner at a time, and an epoch that only ever grows.

The epoch is what protects state: whoever writes, writes with the epoch, and state refuses an older
one. The lease itself only spares two owners the trouble of meeting. How an epoch is made, so that it does
not go back with Redis, is decided in `shared/state/lua/epoch.lua`.
"""

from datetime import timedelta

from redis.asyncio import Redis

from schemas.base import MILLISECOND
from shared.state.lua import parts
from shared.state.redis import Script

ACQUIRE = (
    parts("epoch")
    + """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local epoch = epoch_above(redis.call('GET', KEYS[2]), ARGV[3])
redis.call('SET', KEYS[2], epoch)
return epoch
"""
)
RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if holder or tonumber(redis.call('GET', KEYS[2]) or '') ~= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""One that ran out while Redis took no writes is still ours while the epoch is: nobody had it since."""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class Lease:
    """One named lease; `owner` must be unique to this process."""

    def __init__(self, redis: Redis, name: str, *, owner: str, ttl: timedelta) -> None:
        self._keys = (f"{{{name}}}:lease", f"{{{name}}}:epoch")
        self._owner = owner
        self._ttl = int(ttl / MILLISECOND)
        self._epoch = 0
        self._acquire = Script(redis, ACQUIRE)
        self._renew = Script(redis, RENEW)
        self._release = Script(redis, RELEASE)

    async def acquire(self, *, seen_epoch: int = 0) -> int | None:
        """Take the lease: return its new epoch (above `seen_epoch`), or None when another holds it."""
        epoch = await self._acquire(keys=self._keys, args=[self._owner, self._ttl, seen_epoch])
        self._epoch = int(epoch)
        return self._epoch or None

    async def renew(self) -> bool:
        """Lengthen the lease by its time to live; False: it is no longer ours.

        It may have run out meanwhile: it is ours until another one takes it, which raises the epoch.
        """
        return bool(await self._renew(keys=self._keys, args=[self._owner, self._ttl, self._epoch]))

    async def release(self) -> None:
        """Let go, when it is still ours."""
        self._epoch = 0
        await self._release(keys=self._keys[:1], args=[self._owner])
