"""The states of alerts in Redis, and the way of their transitions onto the bus.

Order of a transition: (1) one atomic script, fenced by the leader's epoch, stores the new state and appends
the alert to an outbox; (2) the outbox is published in order and acknowledged; (3) what was published is
taken off. A kill after 1 publishes it on the next start; a kill after 2 publishes it twice, byte for byte.
Publishing first would lose a resolve: the topic says firing, the state has never heard of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from redis.asyncio import Redis

from schemas.alerts import Alert
from services.monitor.alerts.domain.observation import Observation
from services.monitor.alerts.domain.open_alerts import orphans, unresolved
from services.monitor.alerts.domain.state import AlertPolicy, AlertState, step
from shared.kafka.compacted import read_item, read_items
from shared.ports import Clock, Publisher, outgoing
from shared.state.fenced import LeaderScript
from shared.state.redis import raw, text, transient

COMMIT = """
for i = 2, #ARGV, 3 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  if ARGV[i + 2] ~= '' then redis.call('RPUSH', KEYS[3], ARGV[i + 2]) end
end
return redis.call('LLEN', KEYS[3])
"""
TAKE_OFF = """
local taken = 0
for i = 2, #ARGV do
  if redis.call('LINDEX', KEYS[2], 0) ~= ARGV[i] then break end
  redis.call('LPOP', KEYS[2])
  taken = taken + 1
end
return taken
"""
"""By value, not by count: whatever another process took off meanwhile, an unpublished entry stays."""
PUBLISHED_AT_ONCE = 100
VISIBLE_AFTER = timedelta(seconds=30)
"""A published alert is surely back from the topic by then; what is not, was lost by the broker."""


class AlertStore:
    """Takes observations, keeps states, publishes transitions; every write carries the leader's epoch."""

    def __init__(self, redis: Redis, publisher: Publisher, *, namespace: str, clock: Clock) -> None:
        base = f"{namespace}:{{monitor}}"
        self._redis = redis
        self._publisher = publisher
        self._clock = clock
        self._fence, self._states, self._outbox = f"{base}:fence", f"{base}:alerts", f"{base}:outbox"
        self._commit = LeaderScript(redis, COMMIT)
        self._take_off = LeaderScript(redis, TAKE_OFF)
        self._publishing = asyncio.Lock()

    async def observe(self, observations: Sequence[Observation], *, policy: AlertPolicy, epoch: int) -> bool:
        """Step the state of every alert, publish the transitions; return whether all are settled."""
        now = self._clock.now()
        states = await self.states([observation.key for observation in observations])
        settled, changes = True, list[bytes]()
        for observation in observations:
            before = states.get(observation.key, AlertState())
            after, alert = step(before, observation, now=now, policy=policy)
            states[observation.key] = after
            settled = settled and after.settled
            if after != before or observation.final:
                changes += _change(observation, after, alert)
        if changes:
            await self._commit(keys=[self._fence, self._states, self._outbox], epoch=epoch, args=changes)
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
                await self._take_off(keys=[self._fence, self._outbox], epoch=epoch, args=entries)

    async def states(self, keys: Sequence[str] | None = None) -> dict[str, AlertState]:
        """Return the states of these keys that are known; without keys, all of them."""
        with transient():
            if keys is None:
                stored = await self._redis.hgetall(self._states)
                return {text(key): AlertState.model_validate_json(state) for key, state in stored.items()}
            if not keys:
                return {}
            stored_states = await self._redis.hmget(self._states, list(keys))
        return {
            key: AlertState.model_validate_json(state)
            for key, state in zip(keys, stored_states, strict=True)
            if state is not None
        }

    async def orphans(self, on_topic: Mapping[bytes, bytes]) -> list[Alert]:
        """Return the open alerts on the topic that a monitor raised and that are not remembered here."""
        return orphans(open_alerts(on_topic), await self.states())

    async def adopt(self, alerts: Sequence[Alert], *, epoch: int) -> None:
        """Take over the states of orphans, so that they end (Redis was emptied while they fired)."""
        changes = list[bytes]()
        for alert in alerts:
            changes += [alert.key(), AlertState(alert=alert).model_dump_json().encode(), b""]
        if changes:
            await self._commit(keys=[self._fence, self._states, self._outbox], epoch=epoch, args=changes)

    async def repair(self, on_topic: Mapping[bytes, bytes], *, epoch: int) -> list[str]:
        """Publish again what the topic has lost or what a deposed leader overwrote; return those keys."""
        now = self._clock.now()
        changes, keys = list[bytes](), list[str]()
        for key, state in (await self.states()).items():
            if state.alert is None or now - state.alert.updated_at < VISIBLE_AFTER:
                continue
            if read_item(Alert, on_topic.get(key.encode())) != state.alert:
                keys.append(key)
                changes += [key.encode(), state.model_dump_json().encode(), state.alert.encode()]
        if changes:
            await self._commit(keys=[self._fence, self._states, self._outbox], epoch=epoch, args=changes)
            await self.publish(epoch=epoch)
        return keys


def open_alerts(on_topic: Mapping[bytes, bytes]) -> list[Alert]:
    """Return the alerts that are not resolved, of every worker, most severe and oldest first."""
    return unresolved(read_items(Alert, on_topic.values()))


def _change(observation: Observation, after: AlertState, alert: Alert | None) -> list[bytes]:
    """Return key, new state (empty: forget it) and alert to publish (empty: none), for the script."""
    forget = observation.final or after == AlertState()
    return [
        observation.key.encode(),
        b"" if forget else after.model_dump_json().encode(),
        b"" if alert is None else alert.encode(),
    ]
