"""Configuration of the search worker: section `[search]`, environment `HEADRACE_SEARCH__...`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

import shared.settings
from shared.catalogue.texts import TEMPLATES
from shared.http.origin import Origin
from shared.retrieval.settings import FusionSettings
from shared.section import Duration, Section
from shared.settings import Port


class RerankerSettings(Section):
    """A model that reads the best hits of a hybrid search and orders them anew."""

    model: Path | None = None
    """Directory of a late-interaction model or a cross-encoder (`headrace train --kind`); absent: none."""
    depth: Annotated[int, Field(ge=2, le=200)] = 20
    """Hits that it reads."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of the order before it; the rest is the model's. A model's card has the one fitted for it."""
    budget: Duration = timedelta(milliseconds=150)
    """What it may add to a search; what takes longer leaves the order as it was."""
    remember: Annotated[int, Field(ge=0)] = 10_000
    """Products whose token vectors are kept (7 KB each with MiniLM)."""
    text: tuple[str, ...] = TEMPLATES
    """As what a product is read: the same as `embedder.text`."""


class SearchSettings(FusionSettings):
    """How searches are answered, limited and logged."""

    port: Port = 8800
    tokens: tuple[SecretStr, ...] = ()
    """Bearer tokens that may search; none: everybody who reaches the port may."""
    origins: tuple[Origin, ...] = ()
    """Origins of the shop's pages that may search from the browser, such as https://shop.example; a worker
    that listens on the loopback also answers pages of this machine."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests that are worked on at once; more are answered 429."""
    waiting: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests that wait at once, for offsets that they are to have seen; more are answered 429."""
    per_client: Annotated[int, Field(ge=0, le=100_000)] = 128
    """Of both, and of those whose body is still coming, at most so many of one address; 0: as many as there
    may be."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks of reverse proxies in front: their `X-Forwarded-For` says who a client is."""
    body_within: Duration = timedelta(seconds=10)
    """So long a body may take to come; what is slower is answered 408."""
    max_body: Annotated[int, Field(ge=1024)] = 64 * 1024
    """Bytes of a request's body; more are answered 413."""
    timeout: Duration = timedelta(seconds=2)
    """Time of a request that names no `timeout_ms`."""
    hedge_after: Duration = timedelta(milliseconds=200)
    """A shard that has not answered by then is asked again at another replica, if it has one."""
    reranker: RerankerSettings = RerankerSettings()
    trial_budget: Duration = timedelta(milliseconds=150)
    """What the candidate of a trial may add to a search; when it takes longer the live generation's answer
    is given alone."""
    exploration: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Of places 6 to 10, 16 to 20 and so on, the share that shows a product from behind the first ten, up to
    `depth`, so that shoppers judge it, too; never during a trial."""
    owners_ttl: Duration = timedelta(milliseconds=500)
    """How long the list of shard owners is used before it is read again."""
    cached_queries: Annotated[int, Field(ge=0)] = 10_000
    """Query vectors kept."""
    log_queries: bool = True
    log_capacity: Annotated[int, Field(ge=1)] = 10_000
    """Answers that may wait to be logged; more are dropped and counted."""
    log_vectors: Annotated[int, Field(ge=0)] = 60
    """Queries a minute that are logged with their vector (1 KB each with MiniLM), to see them drift."""
    application: Annotated[str, Field(min_length=1, max_length=100)] = "headrace"
    """`application` of logged queries that name none."""


class Settings(shared.settings.Settings):
    """Everything the search worker needs."""

    search: SearchSettings = SearchSettings()
