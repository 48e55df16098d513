"""What a Redis says when it is away, or will not: which of it is a pause, in words, and what to do.

A Redis that answers with an error is not away: it is full, a replica, without its disk, loading. None of that
is the fault of what was asked, all of it passes, and nothing was written: a command is refused before it
runs, a script at its first write. So it is a pause. What is left (a wrong type, a wrong script, our own
refusals) is not.
"""

import re

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterError,
    CrossSlotTransactionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import TransientError, Trouble

CLIENT = "redis"
CLUSTER_CLIENT = "redis.asyncio.cluster"


AWAY = Trouble(
    "redis.away",
    "Redis is away",
    "start it, or set HEADRACE_REDIS (rediss:// where it speaks TLS, redis:// where it does not)",
)
CREDENTIALS = Trouble(
    "redis.credentials",
    "Redis refuses the user or the password",
    "set HEADRACE_REDIS to credentials that it takes",
)
CLUSTER = Trouble(
    "redis.cluster-down",
    "the Redis Cluster has no master for some slots",
    "a replica takes over in seconds; without one, start the master again",
)
MOVING = Trouble(
    "redis.resharding", "slots of the Redis Cluster are on the move", "wait until they have arrived"
)

FORBIDDEN = Trouble(
    "redis.forbidden", "Redis forbids its user this", "give the user the right by ACL SETUSER"
)
REFUSALS = {
    "OOM": Trouble("redis.full", "Redis is full", "raise its maxmemory, or free some"),
    "READONLY": Trouble(
        "redis.read-only",
        "Redis is a replica, which takes no writes",
        "promote it, or set HEADRACE_REDIS to the master",
    ),
    "MISCONF": Trouble(
        "redis.disk",
        "Redis cannot save to its disk, and takes no writes",
        "make room on it; its log has the reason",
    ),
    "MASTERDOWN": Trouble(
        "redis.no-master", "Redis is a replica that lost its master", "start the master, or promote it"
    ),
    "LOADING": Trouble("redis.loading", "Redis is loading its data", "wait until it has"),
    "CLUSTERDOWN": CLUSTER,
    "TRYAGAIN": MOVING,
    "MOVED": MOVING,
    "ASK": MOVING,
    "NOREPLICAS": Trouble(
        "redis.no-replicas",
        "Redis has too few replicas to take writes",
        "start them, or lower min-replicas-to-write",
    ),
    "BUSY": Trouble("redis.busy", "Redis is busy with a script", "wait, or end it with SCRIPT KILL"),
    "NOPERM": FORBIDDEN,
    "DENIED": Trouble(
        "redis.forbidden",
        "Redis is in protected mode",
        "give it a password, and HEADRACE_REDIS that password",
    ),
    "NOAUTH": CREDENTIALS,
    "WRONGPASS": CREDENTIALS,
}
"""By the first word of the answer."""
BEHIND_WORDS = re.compile(rf"(?:\s-|caused error: )({'|'.join(REFUSALS)})\b")
"""Where else it may stand: older servers put words of their own before what a script's command was answered,
and redis-py does before what a pipeline's was."""
IN_WORDS = {
    "max number of clients": Trouble(
        "redis.connections", "Redis takes no more connections", "raise its maxclients, or close some"
    ),
    "ACL failure in script": FORBIDDEN,
    "can't run this command or subcommand": FORBIDDEN,
    "CERTIFICATE_VERIFY_FAILED": Trouble(
        "redis.certificate",
        "Redis shows a certificate that nobody here trusts",
        "name its authority in HEADRACE_REDIS: ?ssl_ca_certs=FILE",
    ),
}
"""By what stands in the text, where the first word says nothing."""
NEVER = (ClusterCrossSlotError, CrossSlotTransactionError)
"""A key of ours without its hash tag: no waiting mends that."""
KINDS: dict[type[Exception], Trouble] = {
    AuthenticationError: CREDENTIALS,
    AuthenticationWrongNumberOfArgsError: CREDENTIALS,
    AuthorizationError: CREDENTIALS,
    RedisClusterException: CLUSTER,
    ClusterError: CLUSTER,
    RedisConnectionError: AWAY,
    RedisTimeoutError: AWAY,
    OSError: AWAY,
}
"""By the class, the narrower first, where the answer itself says nothing (or there was none)."""


def pause_of(error: Exception) -> TransientError | None:
    """Return the pause that an error of the client means; None: it is a fault, and no waiting mends it."""
    trouble = _trouble(error)
    if trouble is None:
        return None
    return trouble.pause(f"{trouble.what} ({_words(error)})")


def _trouble(error: Exception) -> Trouble | None:
    if isinstance(error, NEVER):
        return None
    if not isinstance(error, (RedisError, RedisClusterException, OSError)):
        return CLUSTER if _lost_its_nodes(error) else None
    named = REFUSALS.get(_code(error)) or next(
        (IN_WORDS[words] for words in IN_WORDS if words in str(error)), None
    )
    return named or next((trouble for kind, trouble in KINDS.items() if isinstance(error, kind)), None)


def _code(error: Exception) -> str:
    """Return the first word of the answer: the client cuts it off those that it has a class for."""
    code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    if code in REFUSALS or not isinstance(error, ResponseError):
        return str(code)
    inner = BEHIND_WORDS.search(str(error))
    return inner[1] if inner else str(code)


def _words(error: Exception) -> str:
    """Return what was said: redis-py's `repr` leaves the text out, its text the first word."""
    code = getattr(error, "status_code", None)
    named = f"{code} {error}" if code else str(error)
    return named if isinstance(error, ResponseError) else f"{type(error).__name__}: {named}"


def _lost_its_nodes(error: Exception) -> bool:
    """Say whether the cluster client broke inside: its list of nodes changes below commands under way."""
    modules = []
    traceback = error.__traceback__
    while traceback is not None:
        modules.append(str(traceback.tb_frame.f_globals.get("__name__")))
        traceback = traceback.tb_next
    return CLUSTER_CLIENT in modules and modules[-1].partition(".")[0] == CLIENT
