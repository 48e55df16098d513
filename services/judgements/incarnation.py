"""What happens when Redis loses state: everything is joined and counted again under a new name.

Outcomes are numbered by the join that wrote them, and counted once because stage two remembers the
highest number. A join whose state is lost would number from 1 again, in another order: its outcomes
could neither be told from old ones nor be added to them. So the states of all joins and windows belong
to one *incarnation*, a number that is part of every key and of every outcome.

* No incarnation in Redis (a first start, or Redis was emptied): a new one begins; queries and events are
  read from the start of their retention, outcomes of other incarnations are skipped.
* A join's state is missing although it was registered (one node of a cluster was lost): a new
  incarnation begins; the workers that still hold the old one notice within a second and stop, so that
  their supervisor starts them into the new one.
* A window's state alone is missing: the outcomes of the current incarnation are read again; nothing else.
* A state that went back behind its worker's back (Redis restarted without its last writes) refuses the
  next batch. Whoever takes a join over compares what it numbered with the outcomes on the bus; when there
  are later ones, Redis came back older, and a new incarnation begins.
* `headrace judgements rebuild` begins one by hand.

What an old incarnation left behind is swept away in the background. Numbers come from the clock, because
a counter in Redis would begin again with it.
"""

from redis.asyncio import Redis

from schemas.base import milliseconds
from services.judgements import lua
from services.judgements.outcomes import LastSequences, nothing_published
from shared.ports import Clock
from shared.state.fenced import StateKeys
from shared.state.redis import Script, transient


class Incarnations:
    """The registry of the current incarnation and of the joins that have state in it."""

    def __init__(
        self, redis: Redis, namespace: str, clock: Clock, *, published: LastSequences = nothing_published
    ) -> None:
        self.published = published
        self._redis = redis
        self._namespace = namespace
        self._key = f"{namespace}:{{judgements}}:incarnation"
        self._clock = clock
        self._renew = Script(redis, lua.steps("renew"))

    async def current(self) -> int:
        """Return the current incarnation; begins the first one."""
        with transient():
            await self._redis.hsetnx(self._key, "id", str(milliseconds(self._clock.now())))
            return int(await self._redis.hget(self._key, "id") or 0)

    async def is_current(self, incarnation: int) -> bool:
        """Whether it is still the current one; begins none."""
        with transient():
            return await self._redis.hget(self._key, "id") == str(incarnation).encode()

    async def register(self, incarnation: int, member: str) -> bool:
        """Enter a join that is about to create its state; False when it had been entered before."""
        with transient():
            return bool(await self._redis.hsetnx(self._key, f"{incarnation}:{member}", "1"))

    async def renew(self, old: int) -> int:
        """Begin a new incarnation in place of `old`, and return the current one."""
        new = max(old + 1, milliseconds(self._clock.now()))
        return int(await self._renew(keys=[self._key], args=[old, new]))

    async def sweep(self) -> None:
        """Remove the keys of the incarnation before, some at a time; does nothing when there are none."""
        with transient():
            old = await self._redis.hget(self._key, "old")
            if old is None:
                return
            for kind in ("join", "window"):
                pattern = f"{self._namespace}:{{{kind}-*}}:{int(old)}:*"
                async for key in self._redis.scan_iter(match=pattern, count=1000):
                    await self._redis.unlink(key)
            await self._redis.hdel(self._key, "old")


def state_keys(namespace: str, tag: str, incarnation: int) -> StateKeys:
    """Return the keys of a state."""
    return StateKeys(f"{namespace}:{{{tag}}}:{incarnation}:")


async def begin_anew(redis: Redis, namespace: str, clock: Clock) -> int:
    """Begin a new incarnation by hand, close the connection, and return its number."""
    try:
        incarnations = Incarnations(redis, namespace, clock)
        return await incarnations.renew(await incarnations.current())
    finally:
        await redis.aclose()
