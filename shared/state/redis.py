"""Redis or Valkey: a client whose trouble is a `TransientError`, and atomic scripts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import NoScriptError

from shared.patience import ANSWER_SECONDS, answer_seconds, hurried
from shared.settings import Settings
from shared.state.trouble import pause_of

CLUSTER_SCHEME = "redis+cluster://"
SILENT_SECONDS = 30.0
"""A worker takes a Redis that says nothing for so long as being away."""


def connect(settings: Settings) -> "Redis":
    """Return a client for the configured URL; `redis+cluster://` gives one that follows slots."""
    url = settings.redis.get_secret_value()
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 0 if hurried() else 3)
    if url.startswith(CLUSTER_SCHEME):
        # RedisCluster has the methods of Redis that we use, without sharing its type.
        return RedisCluster.from_url("redis://" + url.removeprefix(CLUSTER_SCHEME), retry=retry)  # type: ignore[return-value]
    return Redis.from_url(
        url,
        retry=retry,
        socket_connect_timeout=ANSWER_SECONDS,
        socket_timeout=answer_seconds() or SILENT_SECONDS,
    )


def raw(reply: bytes | str) -> bytes:
    """Return the bytes of a reply, whether the client decodes or not."""
    return reply.encode() if isinstance(reply, str) else reply


def text(reply: bytes | str) -> str:
    """Return the text of a reply, whether the client decodes or not."""
    return reply.decode() if isinstance(reply, bytes) else reply


class Connection:
    """A client as a component of a worker: added first, it is closed last."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def start(self) -> None:
        """Do nothing: it connects when it is needed."""

    async def stop(self) -> None:
        """Close."""
        await self._redis.aclose()


@contextmanager
def transient() -> Iterator[None]:
    """Turn what waiting may mend into `TransientError` around plain commands: see `pause_of`."""
    try:
        yield
    except Exception as error:
        if (pause := pause_of(error)) is None:
            raise
        raise pause from error


class Script:
    """A Lua script that runs atomically on the keys of one hash tag.

    A Redis that is away or refuses raises `TransientError`. One that refuses has done nothing: it refuses a
    script at its first write. One that is away may have run it, so a script must store its offset together
    with its effect (`shared.state.fenced`).
    """

    def __init__(self, client: "Redis", source: str) -> None:
        self._client = client
        self._source = source
        self._sha = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, *, keys: Sequence[str], args: Sequence[str | bytes | int | float] = ()
    ) -> Any:  # Any: the script decides
        """Run the script and return its reply."""
        with transient():
            try:
                return await self._client.evalsha(self._sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._client.eval(self._source, len(keys), *keys, *args)
