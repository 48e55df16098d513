"""Asks the search API what it ranks high, without leaving a trace in the query log."""

import asyncio
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from schemas.base import Fingerprint, GenerationName
from services.negatives.domain.candidates import Hit, Likeness, Retrieved, title_of
from services.negatives.domain.plan import Plan
from services.negatives.domain.rules import Rules
from services.negatives.miner import Live
from shared.errors import TransientError

REFUSALS = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)
PROBE = "index"
"""Any word: what matters is which index answers."""
FUSION = {"method": "rrf", "dense_weight": 0.5}
"""Whoever is high in one list is high in the union, whatever the shop ranks by."""
TIMEOUT_MS = 4000
"""A miner has time."""
MAX_REASON = 200

Answer = TypeVar("Answer", bound=BaseModel)


class _Scores(BaseModel):
    dense: float | None = None
    lexical: float | None = None


class _Place(BaseModel):
    partition: int
    offset: int


class _Hit(BaseModel):
    product_id: str
    scores: _Scores
    provenance: _Place
    fields: dict[str, Any] = Field(default_factory=dict)  # Any: attribute values


class _Found(BaseModel):
    generation: GenerationName
    fingerprint: Fingerprint
    partial: bool
    hits: tuple[_Hit, ...]


class _Score(BaseModel):
    score: float | None = None


class _OfProduct(BaseModel):
    dense: _Score


class _Why(BaseModel):
    shard: _OfProduct | None


class _Product(BaseModel):
    fields: dict[str, Any]  # Any: attribute values


class SearchClient:
    """`POST /search`, and `GET /why` and `GET /product` for positives that it does not find."""

    def __init__(self, client: httpx.AsyncClient, *, rules: Rules, asked: int) -> None:
        self._client = client
        self._rules = rules
        self._asked = asked

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def live(self) -> Live:
        """Return the live generation and its model; raises `TransientError`."""
        found = await self._search(PROBE, k=1, mode="dense")
        if found is None:
            raise TransientError("search refuses to be asked which index is live")
        return Live(found.generation, found.fingerprint)

    async def retrieve(self, query: str, wanted: Plan) -> Retrieved | None:
        """Return the first by vector and by words with both scores, and what is known of positives.

        None: search refuses the query. Raises `TransientError`, also for an answer that lacks a shard: a
        positive may be what is missing.
        """
        found = await self._search(query, k=2 * self._rules.depth, mode="hybrid")
        if found is None:
            return None
        hits = {hit.product_id: self._hit(hit) for hit in found.hits}
        scores = {name: hits[name].dense for name in wanted.positives if name in hits}
        alike = [hits[name].likeness for name in wanted.positives if name in hits]
        absent = [name for name in wanted.positives if name not in hits][: self._asked]
        told = await asyncio.gather(*(self._ask(query, name, found.generation) for name in absent))
        for name, (score, likeness) in zip(absent, told, strict=True):
            scores[name] = score
            alike.append(likeness)
        return Retrieved(
            generation=found.generation,
            fingerprint=found.fingerprint,
            hits=tuple(hits.values()),
            scores={name: score for name, score in scores.items() if score is not None},
            alike=tuple(alike),
        )

    def _hit(self, hit: _Hit) -> Hit:
        return Hit(
            product_id=hit.product_id,
            dense=hit.scores.dense,
            lexical=hit.scores.lexical,
            likeness=Likeness.of(hit.fields, self._rules),
            title=title_of(hit.fields, self._rules),
            partition=hit.provenance.partition,
            offset=hit.provenance.offset,
        )

    async def _search(self, text: str, *, k: int, mode: str) -> _Found | None:
        body = {
            "text": text,
            "k": k,
            "mode": mode,
            "fusion": FUSION,
            "timeout_ms": TIMEOUT_MS,
            "log": False,
            "fields": [*self._rules.titles, *self._rules.codes],
        }
        response = await self._send("POST", "/search", json=body)
        if response.status_code in REFUSALS:
            return None
        found = _read(_Found, response)
        if found.partial:
            raise TransientError("a shard did not answer")
        return found

    async def _ask(self, query: str, product_id: str, generation: str) -> tuple[float | None, Likeness]:
        """Return a product's score for the query and its likeness; nothing of one that is not indexed."""
        asked = {
            "query": query,
            "product_id": product_id,
            "mode": "dense",
            "generation": generation,
            "depth": 1,
        }
        why = _read(_Why, await self._send("GET", "/why", params=asked))
        if why.shard is None:
            return None, Likeness()
        path = f"/product/{quote(product_id, safe='')}"
        response = await self._send("GET", path, params={"generation": generation})
        if response.status_code == httpx.codes.NOT_FOUND:
            return why.shard.dense.score, Likeness()
        return why.shard.dense.score, Likeness.of(_read(_Product, response).fields, self._rules)

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:  # Any: as httpx has it
        try:
            return await self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise TransientError(f"search: {type(error).__name__}: {error}"[:MAX_REASON]) from error


def _read(kind: type[Answer], response: httpx.Response) -> Answer:
    if response.status_code != httpx.codes.OK:
        raise TransientError(f"search: HTTP {response.status_code}: {response.text}"[:MAX_REASON])
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise TransientError(f"search: not its answer: {error.errors()[0]['msg']}") from error
