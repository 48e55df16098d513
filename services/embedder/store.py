"""Products, vectors and the next offset of one input partition, in Redis under one hash tag.

`{tag}:state` holds the epoch, the next offset and the number of products; `{tag}:documents` and
`{tag}:embeddings` hold one entry a product. Everything changes in one script, which refuses

* an older epoch (another embedder has taken the partition over): `FencedError`;
* a next offset that is not the one we wrote (Redis came back with older data): `FatalError`, because
  only a restart can read the missing messages again;
* a count of products that does not fit (Redis was emptied, or evicted the documents): `StateGoneError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from redis.asyncio import Redis

from services.embedder.domain.state import (
    Product,
    pack_document,
    pack_embedding,
    unpack_document,
    unpack_embedding,
)
from shared.adapters.redis import Script, transient
from shared.errors import FatalError, FencedError, TransientError
from shared.records import Partition

OPEN = """
local state, documents, embeddings = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HLEN', documents) ~= tonumber(redis.call('HGET', state, 'products') or '0') then
  redis.call('DEL', documents, embeddings)
  redis.call('HDEL', state, 'next_offset', 'products')
end
local epoch = math.max(tonumber(redis.call('HGET', state, 'epoch') or '0'), tonumber(ARGV[1])) + 1
redis.call('HSET', state, 'epoch', string.format('%.0f', epoch))
return {string.format('%.0f', epoch), redis.call('HGET', state, 'next_offset')}
"""

COMMIT = """
local state, documents, embeddings = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', state, 'epoch', 'next_offset', 'products')
if not known[1] then return 'GONE' end
if known[1] ~= ARGV[1] then return redis.error_reply('FENCED epoch ' .. ARGV[1] .. ', now ' .. known[1]) end
local offset = known[2] or ''
if redis.call('HLEN', documents) ~= tonumber(known[3] or '0') then return 'GONE' end
if offset ~= ARGV[2] and offset ~= ARGV[3] then return 'MOVED ' .. offset end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HSET', documents, ARGV[at], ARGV[at + 1])
  if ARGV[at + 2] == 'set' then redis.call('HSET', embeddings, ARGV[at], ARGV[at + 3]) end
  if ARGV[at + 2] == 'delete' then redis.call('HDEL', embeddings, ARGV[at]) end
  at = at + 4
end
redis.call('HSET', state, 'products', redis.call('HLEN', documents))
if ARGV[3] ~= '' then redis.call('HSET', state, 'next_offset', ARGV[3]) end
return 'DONE'
"""


class StateGoneError(TransientError):
    """Redis no longer has the partition's state: take it over again, rebuild, try again."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """Our hold on a partition: the epoch that fences others out, and the next offset as we left it."""

    partition: Partition
    epoch: int
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """A product as it is now; `embedded` says whether its vectors changed too."""

    product_id: str
    product: Product
    embedded: bool


class DocumentStore:
    """The state of the embedder, one hash tag an input partition and generation."""

    def __init__(self, redis: Redis, namespace: str, *, generation: str) -> None:
        self._redis = redis
        self._namespace = namespace
        self._generation = generation
        self._open = Script(redis, OPEN)
        self._commit = Script(redis, COMMIT)

    async def open(self, partition: Partition, *, above: int = 0) -> Tenure:
        """Take the partition over with a new epoch (higher than `above`); older holders are fenced out."""
        epoch, next_offset = await self._open(keys=self._keys(partition), args=[above])
        return Tenure(partition, int(epoch), None if next_offset is None else int(next_offset))

    async def read(self, tenure: Tenure, product_ids: Sequence[str]) -> dict[str, Product]:
        """Return what is stored of these products, in one round trip; raises like `check`."""
        state, documents, embeddings = self._keys(tenure.partition)
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hget(state, "epoch")
            if product_ids:
                pipeline.hmget(documents, list(product_ids))
                pipeline.hmget(embeddings, list(product_ids))
            epoch, *found = await pipeline.execute()
        _check_epoch(tenure, epoch)
        if not found:
            return {}
        return {
            product_id: Product(unpack_document(document), unpack_embedding(embedding))
            for product_id, document, embedding in zip(product_ids, *found, strict=True)
            if document is not None
        }

    async def check(self, tenure: Tenure) -> None:
        """Raise `FencedError` when the partition was taken over, `StateGoneError` when it is gone."""
        with transient():
            epoch = await self._redis.hget(self._keys(tenure.partition)[0], "epoch")
        _check_epoch(tenure, epoch)

    async def commit(self, tenure: Tenure, writes: Sequence[Write], *, next_offset: int) -> Tenure:
        """Store products and offset in one atomic step; returns the tenure with the new offset.

        Doing it again after a lost reply is harmless.
        """
        await self._write(tenure, writes, next_offset)
        return replace(tenure, next_offset=next_offset)

    async def restore(self, tenure: Tenure, writes: Sequence[Write]) -> None:
        """Store products while the state is rebuilt; without an offset it does not count as whole yet."""
        await self._write(tenure, writes, None)

    async def remove(self, partition: Partition) -> None:
        """Remove all that is kept of the partition; for a generation that was given up."""
        with transient():
            await self._redis.unlink(*self._keys(partition))

    async def _write(self, tenure: Tenure, writes: Sequence[Write], next_offset: int | None) -> None:
        args: list[str | bytes | int] = [
            tenure.epoch,
            _text(tenure.next_offset),
            _text(next_offset),
            len(writes),
        ]
        for write in writes:
            args += [write.product_id, pack_document(write.product.document), *_vectors(write)]
        reply: bytes = await self._commit(keys=self._keys(tenure.partition), args=args)
        if reply == b"GONE":
            raise StateGoneError(f"{tenure.partition}: Redis was emptied")
        if reply != b"DONE":
            raise FatalError(
                f"{tenure.partition}: we left next offset {tenure.next_offset}, Redis has {reply.decode()}; "
                "it came back with older data: restart to read the difference again"
            )

    def _keys(self, partition: Partition) -> tuple[str, str, str]:
        tag = f"{self._namespace}:{{{self._generation}:{partition}}}"
        return f"{tag}:state", f"{tag}:documents", f"{tag}:embeddings"


def _check_epoch(tenure: Tenure, stored: bytes | str | None) -> None:
    if stored is None:
        raise StateGoneError(f"{tenure.partition}: Redis was emptied")
    if int(stored) != tenure.epoch:
        raise FencedError(f"{tenure.partition}: we hold epoch {tenure.epoch}, now it is {int(stored)}")


def _vectors(write: Write) -> tuple[str, bytes]:
    if not write.embedded:
        return "keep", b""
    if not write.product.document.exists:
        return "delete", b""
    return "set", pack_embedding(write.product.embedding)


def _text(offset: int | None) -> str:
    return "" if offset is None else str(offset)
