"""Products, vectors and next offsets of one home: a fenced state in Redis, fed by two logs.

A home's changes come in two logs: its partition of the changes, and that of the repartition topic. The state
has one epoch for both, and an offset a log. Beside them it has the number of products; `documents` and
`embeddings` hold one entry a product. A count that does not fit (Redis evicted the documents) is a state that
is gone.

What was published of a product can be read again from the index records. Of a product that nobody has
written yet nothing is published, so its patches can only be read again from where they lay: `unwritten`
holds, for each log, such products with the offset of their first change.

What was published last may not be stored: a kill may have come between. So the state names the end of what
was published and is in it, an offset in the home's partition of the index.

Which acceptances of sources (`shared.catalogue.acceptances`) the state was read by is a part of it. One that
was rebuilt from index records has none, whatever those that wrote them knew: it reads again, which changes
nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import orjson
from msgspec import structs
from redis.asyncio import Redis

from schemas.catalogue import ProductChange
from services.embedder.domain.recovery import Proven
from services.embedder.domain.state import (
    StoredProduct,
    pack_embedding,
    pack_product,
    unpack_embedding,
    unpack_product,
)
from services.embedder.home import FIELDS, LOGS, HomeState, Write
from services.embedder.scripts import ACCEPT, ADOPT, COMMIT, MEND, WHOLE
from shared.catalogue.acceptances import NONE, Acceptances, Accepted
from shared.catalogue.older import NOTHING_OLDER, OLDER, OlderUpdate, line_of
from shared.generations.homes import home_keys
from shared.metrics import stage
from shared.records import UNKNOWN_LOG, Log, Partition
from shared.state.fenced import (
    FencedScript,
    FencedState,
    StateClaim,
    StateKeys,
    refusal,
    remove,
)
from shared.state.redis import text, transient

LAYOUT = 2
"""1: a state for each partition of the changes, whatever products came through it."""
DOCUMENTS, EMBEDDINGS, UNWRITTEN = "documents", "embeddings", "unwritten:"
RECORDS = "records"
"""The field of the state that has the end of the records that are in it."""
ACCEPTED = "accepted"


class DocumentStore:
    """The state of the embedder, one hash tag a home and generation.

    Everything but `claim` and `remove` raises `FencedError` when another embedder has taken the home over,
    `StateGoneError` when Redis has lost its state (take it over again, rebuild, read on from there), and
    `StateLostError` when Redis came back with older data (take it over again, and read on from its end).
    """

    def __init__(self, redis: Redis, namespace: str, *, generation: str) -> None:
        self._redis = redis
        self.namespace = namespace
        self.generation = generation
        self._claim = StateClaim(redis, mend=MEND, layout=LAYOUT)
        self._commit = FencedScript(redis, COMMIT, check=WHOLE)
        self._adopt = FencedScript(redis, ADOPT)
        self._accept = FencedScript(redis, ACCEPT, check=WHOLE)

    async def claim(
        self, number: int, topic: str, log: Log = UNKNOWN_LOG, *, seen_epoch: int = 0
    ) -> HomeState:
        """Take the home over with a new epoch above `seen_epoch`, to read one of its logs.

        Older owners are fenced out. Raises `LogReplacedError` when the topic was made anew.
        """
        keys, other = self._keys(number), _other(topic)
        names = (FIELDS[topic].log, FIELDS[other].next_offset, FIELDS[other].log, RECORDS, ACCEPTED)
        claimed = await self._claim(keys, FIELDS[topic], log=log, other=names, seen_epoch=seen_epoch)
        assert claimed is not None  # noqa: S101 - created when it was not there
        identity, second, other_identity, records, accepted = claimed.other
        offsets = {topic: claimed.next_offset, other: None if second is None else int(second)}
        logs = {name: FencedState(keys, claimed.epoch, offsets[name], FIELDS[name]) for name in LOGS}
        identities = {topic: identity or "", other: other_identity or ""}
        end = None if records is None else int(records)
        return HomeState(number, logs, identities, _accepted(accepted), records=end)

    async def join(self, home: HomeState, topic: str, log: Log = UNKNOWN_LOG) -> None:
        """Take another log of a home that is held; its epoch rises. Raises as `claim` does.

        Raises `StateGoneError` when the state is not as we left it.
        """
        other = home.logs[_other(topic)]
        names = (FIELDS[topic].log, other.fields.next_offset)
        claimed = await self._claim(home.keys, FIELDS[topic], log=log, other=names, create=False)
        if claimed is None:
            raise refusal(other, "GONE")
        identity, second = claimed.other
        if second != (None if other.next_offset is None else str(other.next_offset)):
            raise refusal(other, "GONE")
        home.identities[topic] = identity or ""
        home.logs[topic].next_offset = claimed.next_offset
        for held in home.logs.values():
            held.epoch = claimed.epoch

    async def read(
        self, home: HomeState, product_ids: Sequence[str], *, vectors: bool = False
    ) -> dict[str, StoredProduct]:
        """Return what is stored of these products, in one round trip; their vectors only when asked for.

        What an earlier version stored takes a second one.
        """
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hget(home.keys.state, FIELDS[LOGS[0]].epoch)
            pipeline.hgetall(home.keys.key(OLDER))
            for topic in LOGS:
                pipeline.zrange(home.keys.key(UNWRITTEN + topic), 0, 0, withscores=True)
            if product_ids:
                pipeline.hmget(home.keys.key(DOCUMENTS), list(product_ids))
            epoch, older, *rest = await pipeline.execute()
        home.verify(epoch)
        home.older = {text(name): text(changes) for name, changes in older.items()}
        first, stored = rest[: len(LOGS)], rest[len(LOGS) :]
        home.unwritten = {topic: int(of[0][1]) for topic, of in zip(LOGS, first, strict=True) if of}
        with stage("state"):
            products = {
                product_id: unpack_product(packed)
                for product_id, packed in zip(product_ids, stored[0] if stored else (), strict=True)
                if packed is not None
            }
        return await self.with_vectors(home, products, of_all=vectors)

    async def with_vectors(
        self, home: HomeState, products: Mapping[str, StoredProduct], *, of_all: bool = True
    ) -> dict[str, StoredProduct]:
        """Return the products with their vectors; else only where it is not known which those are."""
        unread = [
            product_id
            for product_id, product in products.items()
            if not product.embedding.read and (of_all or not product.embedding.content_hash)
        ]
        if not unread:
            return dict(products)
        with transient():
            packed = await self._redis.hmget(home.keys.key(EMBEDDINGS), unread)
        embeddings = {
            product_id: unpack_embedding(cast("bytes | None", one))
            for product_id, one in zip(unread, packed, strict=True)
        }
        return {
            product_id: structs.replace(product, embedding=embeddings.get(product_id, product.embedding))
            for product_id, product in products.items()
        }

    async def check(self, home: HomeState) -> None:
        """Make sure that the home is still ours."""
        with transient():
            epoch = await self._redis.hget(home.keys.state, FIELDS[LOGS[0]].epoch)
        home.verify(epoch)

    async def commit(
        self,
        home: HomeState,
        writes: Sequence[Write],
        older: OlderUpdate = NOTHING_OLDER,
        *,
        topic: str,
        next_offset: int,
    ) -> None:
        """Store products and a log's offset in one atomic step; again after a lost reply, it is harmless.

        All that was published under this state is in it then.
        """
        records = None if home.records is None else home.records + home.published
        with stage("state"):
            arguments = tuple(_arguments(writes, older, records=records))
        await self._commit.apply(home.logs[topic], *arguments, next_offset=next_offset)
        home.records, home.published, home.ahead = records, 0, False
        home.older = older.applied_to(home.older)

    async def restore(self, home: HomeState, writes: Sequence[Write]) -> None:
        """Store products that are in index records, and no offset: a state without one is not whole yet."""
        await self._commit(home.logs[LOGS[0]], *_arguments(writes, records=home.records))

    async def adopt(self, home: HomeState, proven: Mapping[str, Proven]) -> None:
        """Count a rebuilt state as whole: its logs are read from these offsets on.

        An offset of another topic than is there now, under the same name, says nothing.
        """
        for topic, (offset, identity) in proven.items():
            known = home.identities[topic]
            if known and identity not in {"", known}:
                continue
            await self._adopt(home.logs[topic], known or identity)
            home.identities[topic] = known or identity
            await self.commit(home, (), topic=topic, next_offset=offset)

    async def accept(
        self, home: HomeState, acceptances: Acceptances, first: Mapping[str, int | None]
    ) -> HomeState:
        """Have the home read by these acceptances too, each log from its `first` offset on (None: as it is).

        What is remembered as older of their sources is forgotten. Again after a lost reply, it is harmless.
        """
        await self.read(home, ())
        offsets = {
            topic: min(held.next_offset, offset)
            for topic, held in home.logs.items()
            if held.next_offset is not None and (offset := first[topic]) is not None
        }
        known = home.accepted | acceptances
        fields = {FIELDS[topic].next_offset: str(offset) for topic, offset in offsets.items()}
        settled = [name for name in home.older if any(one.covers(line_of(name)) for one in acceptances)]
        packed = orjson.dumps(sorted(map(tuple, known)))
        await self._accept(home.logs[LOGS[0]], packed, orjson.dumps(fields), *settled)
        for topic, offset in offsets.items():
            home.logs[topic].next_offset = offset
        return replace(home, accepted=known)

    async def remove(self, number: int) -> None:
        """Remove all that is kept of the home; for a generation that was given up."""
        unwritten = [UNWRITTEN + topic for topic in LOGS]
        await remove(self._redis, self._keys(number), DOCUMENTS, EMBEDDINGS, OLDER, *unwritten)
        await self.remove_layout_1(number)

    async def remove_layout_1(self, number: int) -> None:
        """Remove what an earlier version kept of a partition of the changes: index records have it all."""
        partition = Partition(ProductChange.topic, number)
        keys = StateKeys(f"{self.namespace}:{{{self.generation}:{partition}}}:")
        await remove(self._redis, keys, DOCUMENTS, EMBEDDINGS)

    def _keys(self, number: int) -> StateKeys:
        return home_keys(self.namespace, self.generation, number)


def _accepted(stored: str | None) -> Acceptances:
    return frozenset(Accepted(*one) for one in orjson.loads(stored)) if stored else NONE


def _other(topic: str) -> str:
    return LOGS[topic == LOGS[0]]


def _arguments(
    writes: Sequence[Write], older: OlderUpdate = NOTHING_OLDER, *, records: int | None
) -> Iterator[str | bytes]:
    """Yield what is stored beside products, as JSON; then each with its id, and vectors with theirs."""
    embedded = [write for write in writes if write.embedded]
    yield orjson.dumps(
        {
            "logs": LOGS,
            "older": older.put,
            "settled": older.removed,
            "records": "" if records is None else str(records),
            "products": len(writes),
            "unwritten": {w.product_id: str(w.unwritten) for w in writes if w.unwritten is not None},
            "without_vectors": [w.product_id for w in embedded if not w.product.document.exists],
        }
    )
    for write in writes:
        yield write.product_id
        yield pack_product(write.product)
    for write in embedded:
        if write.product.document.exists:
            yield write.product_id
            yield pack_embedding(write.product.embedding)
