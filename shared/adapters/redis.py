"""Redis or Valkey: a client that turns connection trouble into `TransientError`, and atomic scripts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import FencedError, TransientError
from shared.settings import Settings

CLUSTER_SCHEME = "redis+cluster://"
TROUBLE = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)
FENCED = "FENCED"


def connect(settings: Settings) -> "Redis":
    """Return a client for the configured URL; `redis+cluster://` gives one that follows slots."""
    url = settings.redis.get_secret_value()
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 3)
    if url.startswith(CLUSTER_SCHEME):
        # RedisCluster has the methods of Redis that we use, without sharing its type.
        return RedisCluster.from_url("redis://" + url.removeprefix(CLUSTER_SCHEME), retry=retry)  # type: ignore[return-value]
    return Redis.from_url(url, retry=retry, socket_connect_timeout=5, socket_timeout=30)


def raw(reply: bytes | str) -> bytes:
    """Return the bytes of a reply, whether the client decodes or not."""
    return reply.encode() if isinstance(reply, str) else reply


def text(reply: bytes | str) -> str:
    """Return the text of a reply, whether the client decodes or not."""
    return reply.decode() if isinstance(reply, bytes) else reply


class Connection:
    """A client as a part of a worker: added first, it is closed last."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def start(self) -> None:
        """Do nothing: it connects when it is needed."""

    async def stop(self) -> None:
        """Close."""
        await self._redis.aclose()


@contextmanager
def transient() -> Iterator[None]:
    """Turn Redis' connection trouble into `TransientError` around plain commands."""
    try:
        yield
    except TROUBLE as error:
        raise TransientError(f"Redis is away: {error!r}") from error


class Script:
    """A Lua script that runs atomically on the keys of one hash tag.

    A script that finds a newer epoch returns `redis.error_reply("FENCED ...")`, which raises
    `FencedError` here. Connection trouble raises `TransientError`: the script may or may not have run,
    so it must store its offset together with its effect.
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
            except ResponseError as error:
                if FENCED in str(error):
                    raise FencedError(str(error)) from error
                raise
