"""Configuration of the collector: section `[collector]`, environment `HEADRACE_COLLECTOR__...`."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

import shared.settings
from shared.http.origin import Origin
from shared.section import Duration, Section
from shared.settings import Port

Token = Annotated[SecretStr, Field(min_length=16)]
"""Long enough not to be guessed."""


class CollectorSettings(Section):
    """Who may send what, and how much of it."""

    port: Port = 8880
    origins: tuple[Origin, ...] = ()
    """Origins of the shop's pages, such as https://shop.example; pages of others are refused. A collector
    that listens on the loopback also takes what pages of this machine send."""
    tokens: tuple[Token, ...] = ()
    """Bearer tokens of the shop's own servers: they may write `/changes`, and send events without a client's
    limit. None: `/changes` is off."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks of reverse proxies in front: their `X-Forwarded-For` says who a client is."""
    rate: Annotated[int, Field(ge=1, le=10_000_000)] = 3000
    """Messages a minute of one address (of IPv6 a /64), or KiB, whichever is more; as many at once."""
    clients: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Addresses whose rate is remembered."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Requests in hand at once; more are answered 429."""
    per_client: Annotated[int, Field(ge=0, le=10_000)] = 16
    """Of them at most so many of one address; 0: as many as there may be."""
    max_body: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    """Bytes of a request's body; more are answered 413."""
    body_within: Duration = timedelta(seconds=10)
    """So long a body may take to come; what is slower is answered 408."""
    acknowledged_within: Duration = timedelta(seconds=5)
    """So long Kafka may take to acknowledge; what takes longer is answered 503, and may be written."""


class Settings(shared.settings.Settings):
    """Everything the collector needs."""

    collector: CollectorSettings = CollectorSettings()
