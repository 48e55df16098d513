"""What was joined and not yet written to the bus: sent in order, then forgotten.

The loop works on the queries and the events of one partition at the same time, and a slow predecessor
may still be sending. Order survives both: whoever sends begins at the oldest entry that nobody has had
acknowledged, so no entry is ever on the bus before a copy of the one before it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from schemas.judgements import Outcome
from services.judgements import lua, metrics
from services.judgements.domain.admission import JoinableEvent, JoinableQuery
from services.judgements.domain.join import Joined, encode_outcome, impressions, join
from services.judgements.domain.pages import Pages
from services.judgements.domain.rules import JoinRules
from services.judgements.state import JudgementState
from shared.ports import Publisher
from shared.records import Outgoing
from shared.state.fenced import FencedScript
from shared.state.lua import parts
from shared.state.redis import Script

AT_ONCE = 500


class Outbox:
    """The outboxes of all joins; a partition's is sent by one task at a time."""

    def __init__(self, redis: Redis, *, publisher: Publisher, rules: JoinRules) -> None:
        self._publisher = publisher
        self._rules = rules
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._peek = FencedScript(redis, lua.steps("peek"), refuses=False)
        self._trim = Script(redis, parts("tag") + lua.steps("trim"))

    async def flush(self, held: JudgementState, number: int) -> None:
        """Send everything; returns when the bus has acknowledged it, so that whoever moves on is believed.

        Raises `StateGoneError` and `StateLostError`: an outbox that Redis lost is not one that is empty.
        """
        keys, incarnation = [held.keys.state], held.incarnation
        async with self._locks[number]:
            left = 1
            while left:
                first, text = await self._peek(held, AT_ONCE)
                entries = orjson.loads(text)
                if not entries:
                    return
                messages = self._messages(entries, first, number=number, incarnation=incarnation)
                await self._publisher.publish(messages)
                left = await self._trim(keys=keys, args=[first + len(entries) - 1])

    def _messages(
        self,
        entries: Sequence[Any],  # Any: JSON of our own
        first: int,
        *,
        number: int,
        incarnation: int,
    ) -> list[Outgoing]:
        """Return the outcomes; a number stays unused whose event was not owed, or whose page was not new."""
        messages = []
        for sequence, (query, action, *further) in enumerate(entries, first):
            pages = [JoinableQuery(*page) for page in (query, *further)]
            joined = self._joined(pages, JoinableEvent(*action) if action else None)
            if joined is None:
                metrics.unattributed.inc()
                continue
            value = encode_outcome(joined, incarnation=incarnation, origin=number, sequence=sequence)
            messages.append(Outgoing(Outcome.topic, joined.shown.query.encode(), value))
        return messages

    def _joined(self, pages: Pages, action: JoinableEvent | None) -> Joined | None:
        return impressions(pages, self._rules) if action is None else join(pages, action, self._rules)
