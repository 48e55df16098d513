"""The alerts' lives in Redis, and their way onto the bus.

Order of a transition: (1) one atomic script, fenced by the leader's epoch, stores the new life and appends
the alert to an outbox; (2) the outbox is published in order and acknowledged; (3) what was published is
taken off. A kill after 1 publishes it on the next start; a kill after 2 publishes it twice, byte for byte.
Publishing first would lose a resolve: the topic says firing, the state has never heard of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import ValidationError
from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.domain.life import Life, Policy, step
from services.monitor.domain.observation import Observation
from shared.adapters.redis import Script, raw, text, transient
from shared.ports import Clock, Publisher, outgoing

FENCE = """
local fence = tonumber(redis.call('GET', KEYS[1]) or '0')
if fence > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED the monitor with epoch ' .. string.format('%.0f', fence) .. ' leads')
end
redis.call('SET', KEYS[1], ARGV[1])
"""
COMMIT = (
    FENCE
    + """
for i = 2, #ARGV, 3 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  if ARGV[i + 2] ~= '' then redis.call('RPUSH', KEYS[3], ARGV[i + 2]) end
end
return redis.call('LLEN', KEYS[3])
"""
)
TAKE_OFF = (
    FENCE
    + """
local taken = 0
for i = 2, #ARGV do
  if redis.call('LINDEX', KEYS[2], 0) ~= ARGV[i] then break end
  redis.call('LPOP', KEYS[2])
  taken = taken + 1
end
return taken
"""
)
"""By value, not by count: whatever another process took off meanwhile, an unpublished entry stays."""
PUBLISHED_AT_ONCE = 100
VISIBLE_AFTER = timedelta(seconds=30)
"""A published alert is surely back from the topic by then; what is not, was lost by the broker."""


class AlertBook:
    """Takes observations, keeps lives, publishes transitions; every write carries the leader's epoch."""

    def __init__(self, redis: Redis, publisher: Publisher, *, namespace: str, clock: Clock) -> None:
        base = f"{namespace}:{{monitor}}"
        self._redis = redis
        self._publisher = publisher
        self._clock = clock
        self._fence, self._lives, self._outbox = f"{base}:fence", f"{base}:alerts", f"{base}:outbox"
        self._commit = Script(redis, COMMIT)
        self._take_off = Script(redis, TAKE_OFF)
        self._publishing = asyncio.Lock()

    async def observe(self, seen: Sequence[Observation], *, policy: Policy, epoch: int) -> bool:
        """Step every life, publish what turned; return whether all of them are settled."""
        now = self._clock.now()
        lives = await self.lives([observation.key for observation in seen])
        settled, changes = True, list[bytes]()
        for observation in seen:
            before = lives.get(observation.key, Life())
            after, alert = step(before, observation, now=now, policy=policy)
            lives[observation.key] = after
            settled = settled and after.settled
            if after != before or observation.final:
                changes += _change(observation, after, alert)
        if changes:
            await self._commit(keys=[self._fence, self._lives, self._outbox], args=[epoch, *changes])
        await self.publish(epoch=epoch)
        return settled

    async def publish(self, *, epoch: int) -> None:
        """Publish the outbox, oldest first, and take off what was acknowledged."""
        async with self._publishing:
            while True:
                with transient():
                    waiting = await self._redis.lrange(self._outbox, 0, PUBLISHED_AT_ONCE - 1)
                if not waiting:
                    return
                entries = [raw(entry) for entry in waiting]
                await self._publisher.publish([outgoing(Alert.decode(entry)) for entry in entries])
                await self._take_off(keys=[self._fence, self._outbox], args=[epoch, *entries])

    async def lives(self, keys: Sequence[str] | None = None) -> dict[str, Life]:
        """Return the lives of these keys that are known; without keys, all of them."""
        with transient():
            if keys is None:
                stored = await self._redis.hgetall(self._lives)
                return {text(key): Life.model_validate_json(life) for key, life in stored.items()}
            if not keys:
                return {}
            stored_lives = await self._redis.hmget(self._lives, list(keys))
        return {
            key: Life.model_validate_json(life)
            for key, life in zip(keys, stored_lives, strict=True)
            if life is not None
        }

    async def orphans(self, on_topic: Mapping[bytes, bytes]) -> list[Alert]:
        """Return the open alerts on the topic that a monitor raised and that are not remembered here."""
        lives = await self.lives()
        return [
            alert
            for alert in open_alerts(on_topic)
            if alert.resolution == "automatic" and lives.get(alert.alert_key, Life()).alert is None
        ]

    async def adopt(self, alerts: Sequence[Alert], *, epoch: int) -> None:
        """Take over the lives of orphans, so that they end (Redis was emptied while they fired)."""
        changes = list[bytes]()
        for alert in alerts:
            changes += [alert.key(), Life(alert=alert).model_dump_json().encode(), b""]
        if changes:
            await self._commit(keys=[self._fence, self._lives, self._outbox], args=[epoch, *changes])

    async def repair(self, on_topic: Mapping[bytes, bytes], *, epoch: int) -> list[str]:
        """Publish again what the topic has lost or what a deposed leader overwrote; return those keys."""
        now = self._clock.now()
        changes, keys = list[bytes](), list[str]()
        for key, life in (await self.lives()).items():
            if life.alert is None or now - life.alert.updated_at < VISIBLE_AFTER:
                continue
            if decode(on_topic.get(key.encode())) != life.alert:
                keys.append(key)
                changes += [key.encode(), life.model_dump_json().encode(), life.alert.encode()]
        if changes:
            await self._commit(keys=[self._fence, self._lives, self._outbox], args=[epoch, *changes])
            await self.publish(epoch=epoch)
        return keys


def decode(value: bytes | None) -> Alert | None:
    """Return the alert, or None when there is none or it cannot be read."""
    try:
        return None if value is None else Alert.decode(value)
    except ValidationError:
        return None


def open_alerts(on_topic: Mapping[bytes, bytes]) -> list[Alert]:
    """Return the alerts that are not resolved, of every worker, most severe and oldest first."""
    order = {"critical": 0, "warning": 1, "info": 2}
    found = (decode(value) for value in on_topic.values())
    alive = [alert for alert in found if alert is not None and alert.status != "resolved"]
    return sorted(alive, key=lambda alert: (order[alert.severity], alert.started_at, alert.alert_key))


def _change(seen: Observation, after: Life, alert: Alert | None) -> list[bytes]:
    """Return key, new life (empty: forget it) and alert to publish (empty: none), for the script."""
    forget = seen.final or after == Life()
    return [
        seen.key.encode(),
        b"" if forget else after.model_dump_json().encode(),
        b"" if alert is None else alert.encode(),
    ]
