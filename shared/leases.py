"""A lease in Redis: one owner at a time, and an epoch that only ever grows.

The epoch is what protects state: whoever writes, writes with the epoch, and state refuses an older
one. The lease itself only spares two owners the trouble of meeting. If Redis was emptied the epoch
must not start again from one, so the caller gives the highest epoch that its own state has seen.
"""

from datetime import timedelta

from redis.asyncio import Redis

from shared.adapters.redis import Script

ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local epoch = tonumber(redis.call('GET', KEYS[2]) or '0')
epoch = math.max(epoch, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', epoch))
return epoch
"""
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""


class Lease:
    """One named lease; `owner` must be unique to this process."""

    def __init__(self, redis: Redis, name: str, *, owner: str, ttl: timedelta) -> None:
        self._keys = (f"{{{name}}}:lease", f"{{{name}}}:epoch")
        self._owner = owner
        self._ttl = int(ttl / timedelta(milliseconds=1))
        self._acquire = Script(redis, ACQUIRE)
        self._renew = Script(redis, RENEW)
        self._release = Script(redis, RELEASE)

    async def acquire(self, *, seen_epoch: int = 0) -> int | None:
        """Take the lease: return its new epoch (above `seen_epoch`), or None when another holds it."""
        epoch = await self._acquire(keys=self._keys, args=[self._owner, self._ttl, seen_epoch])
        return int(epoch) or None

    async def renew(self) -> bool:
        """Lengthen the lease by its time to live; False: it is no longer ours."""
        return bool(await self._renew(keys=self._keys[:1], args=[self._owner, self._ttl]))

    async def release(self) -> None:
        """Let go, when it is still ours."""
        await self._release(keys=self._keys[:1], args=[self._owner])
