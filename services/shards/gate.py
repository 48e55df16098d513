"""Who may ask the shards over HTTP, and how much at once."""

from dataclasses import replace
from datetime import timedelta

import structlog
from fastapi import FastAPI

from services.shards.api import MAX_BODY
from services.shards.settings import Settings
from shared.http.gate import Gate, RequestLimits
from shared.settings import LOOPBACK

log = structlog.get_logger()

WHOLE_PARTITIONS = ("/dump", "/fields", "/stored")
"""What is asked there may read all that a partition has."""
GUARDED = ("/query", "/similar", "/explain", "/products/", *WHOLE_PARTITIONS)
BODY_WITHIN = timedelta(seconds=10)


def guard(api: FastAPI, settings: Settings) -> None:
    """Put the gate before the routes: only who shows `cluster.secret` passes, and of them not too many.

    Without a secret everybody passes; a worker that others can reach says so once, in its log.
    """
    if not settings.cluster.tokens and settings.host not in LOOPBACK:
        log.warning(
            "shards.open",
            host=settings.host,
            consequence="whoever reaches this port reads the whole index",
            fix="set cluster.secret (HEADRACE_CLUSTER__SECRET) for shards, search and commands alike",
        )
    limits = RequestLimits(
        paths=GUARDED,
        concurrency=settings.shards.concurrency,
        max_body=MAX_BODY,
        smaller="ask for fewer partitions, or with fewer filters",
        tokens=settings.cluster.tokens,
        per_client=settings.shards.per_client,
        body_within=BODY_WITHIN,
    )
    dumps = replace(limits, paths=WHOLE_PARTITIONS, concurrency=settings.shards.dumps)
    api.add_middleware(Gate, limits=limits)
    api.add_middleware(Gate, limits=dumps)
