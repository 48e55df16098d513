"""Speaks with the shards: searches in frames (`schemas.shard_frames`), all else in HTTP."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

import httpx
import numpy as np
from prometheus_client import Counter
from pydantic import ValidationError

from schemas.base import in_path
from schemas.filters import Filter
from schemas.search_api import IndexedProduct, Mode, ProductExplanation
from schemas.shard_api import (
    ExplainRequest,
    PartitionFields,
    ShardRefusal,
    VectorAnswer,
    VectorRequest,
)
from schemas.shard_frames import (
    CandidatesQuestion,
    Documents,
    DocumentsQuestion,
    ShardCandidates,
    StatisticsQuestion,
    TermStatistics,
    pack,
    pack_filters,
    unpack,
)
from services.search.candidates import answer_of
from services.search.domain.candidate import ShardAnswer
from shared.arrays import Vectors
from shared.cluster.members import OwnerRecord
from shared.frames.client import FrameClient, PeerError
from shared.frames.protocol import Frame, FrameKind

failures = Counter("headrace_search_shard_failures", "Questions that an owner did not answer", ("kind",))

MAX_REASON = 300
WAIT_SHARE = 0.8
"""Of the time left, what a shard may wait for `min_offsets`; the rest is for it to answer."""
OK, NOT_FOUND, CONFLICT = 200, 404, 409
BROKEN_CONTRACT = (413, 422)
"""What a shard answers to a question that it does not understand."""
JSON_TYPE = {"Content-Type": "application/json"}
LATE = "no answer within the time limit"

FailureKind = Literal["unreachable", "late", "refused", "contract"]
Answer = TypeVar("Answer")


class ShardFailure(Exception):  # noqa: N818  an outcome that is reported
    """An owner did not answer the question; the message says why, `kind` in one word.

    `unreachable`: nobody there, or it is broken; `late`: not within the time limit; `refused`: it said so
    itself, as one that lost its lease, is behind, or holds another model; `contract`: its answer, or to it
    our question, is not what `schemas.shard_api` says.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason[:MAX_REASON])
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardQuery:
    """What every shard is asked; `deadline` is a moment of the event loop's clock."""

    generation: str
    mode: Mode
    k: int
    deadline: float
    text: str | None = None
    vector: Vectors | None = None
    fingerprint: str | None = None
    filters: Sequence[Filter] = ()
    exact: bool = False
    min_offsets: Mapping[int, int] | None = None
    statistics: TermStatistics | None = None

    @property
    def words(self) -> str | None:
        """The text whose words are searched for."""
        return self.text if self.mode != "dense" else None

    def remaining(self) -> float:
        """Return the seconds left."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def question(self, partitions: Sequence[int]) -> CandidatesQuestion:
        """Return the question for these partitions."""
        offsets = {key: value for key, value in (self.min_offsets or {}).items() if key in partitions}
        return CandidatesQuestion(
            self.generation,
            tuple(partitions),
            self.mode,
            self.k,
            max(1, int(self.remaining() * 1000 * WAIT_SHARE)),
            self.exact,
            self.text,
            b"" if self.vector is None else self.vector.astype("<f4").tobytes(),
            self.fingerprint,
            pack_filters(tuple(self.filters)),
            offsets,
            self.statistics,
        )

    def explanation(self, product_id: str) -> ExplainRequest:
        """Return the question why a product is where it is."""
        return ExplainRequest(**self._question(), product_id=product_id)

    def _question(self) -> dict[str, Any]:  # Any: the models check it
        return {
            "generation": self.generation,
            "vector": encode_vector(self.vector),
            "fingerprint": self.fingerprint,
            "text": self.text,
            "mode": self.mode,
            "filters": tuple(self.filters),
        }


class Frames(Protocol):
    """Asks the process at a URL a question in a frame; raises `PeerError`."""

    async def ask(self, url: str, kind: int, body: bytes) -> Frame:
        """Return the answer."""
        ...

    async def stop(self) -> None:
        """Let go of every connection."""
        ...


class ShardClient:
    """Speaks with the owners over connections that are kept open."""

    def __init__(
        self,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        frames: Frames | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self._client = httpx.AsyncClient(headers=headers, limits=limits, transport=transport, trust_env=False)
        self._frames = frames or FrameClient(headers=headers)

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._frames.stop()

    async def query(self, url: str, partitions: Sequence[int], query: ShardQuery) -> list[ShardAnswer]:
        """Ask one owner for partitions of its own; raises `ShardFailure` unless all of them answer."""
        question = pack(query.question(partitions))
        answer = await self._framed(url, FrameKind.CANDIDATES, question, query=query, kind=ShardCandidates)
        try:
            answers = [answer_of(part, url) for part in answer.partitions]
        except (ValueError, IndexError) as error:
            raise _failed("contract", f"{url} answered columns of other lengths: {error}") from error
        if {answer.report.partition for answer in answers} != set(partitions):
            raise _failed("contract", f"{url} did not answer for all of {list(partitions)}")
        return answers

    async def documents(
        self, url: str, products: Mapping[int, tuple[str, ...]], query: ShardQuery
    ) -> Documents:
        """Return what products say, by partition; raises `ShardFailure`."""
        question = pack(DocumentsQuestion(query.generation, dict(products)))
        return await self._framed(url, FrameKind.DOCUMENTS, question, query=query, kind=Documents)

    async def statistics(self, url: str, partitions: Sequence[int], query: ShardQuery) -> TermStatistics:
        """Return how often the words of a query are in partitions; raises `ShardFailure`."""
        question = pack(StatisticsQuestion(query.generation, tuple(partitions), query.words or ""))
        return await self._framed(url, FrameKind.STATISTICS, question, query=query, kind=TermStatistics)

    async def product(self, owner: OwnerRecord, query: ShardQuery, product_id: str) -> IndexedProduct | None:
        """Return the product as its shard has it, or None; raises `ShardFailure`."""
        call = self._client.get(
            f"{owner.url}/products/{in_path(product_id)}", params={"generation": query.generation}
        )
        return await self._ask(call, query, IndexedProduct.model_validate_json)

    async def similar(self, owner: OwnerRecord, query: ShardQuery, product_id: str) -> VectorAnswer | None:
        """Return the vector of a product, or None; raises `ShardFailure`."""
        body = VectorRequest(generation=query.generation, product_id=product_id).model_dump_json()
        return await self._ask(
            self._post(f"{owner.url}/similar", body), query, VectorAnswer.model_validate_json
        )

    async def explain(
        self, owner: OwnerRecord, query: ShardQuery, product_id: str
    ) -> ProductExplanation | None:
        """Return scores and ranks of a product in its shard, or None; raises `ShardFailure`."""
        body = query.explanation(product_id).model_dump_json()
        return await self._ask(
            self._post(f"{owner.url}/explain", body), query, ProductExplanation.model_validate_json
        )

    async def fields(self, owner: OwnerRecord, query: ShardQuery, partition: int) -> PartitionFields | None:
        """Return what a partition's products have; None: its shard is an older one; raises `ShardFailure`."""
        call = self._client.get(
            f"{owner.url}/fields", params={"generation": query.generation, "partition": partition}
        )
        return await self._ask(call, query, PartitionFields.model_validate_json)

    async def _framed(
        self, url: str, asked: FrameKind, body: bytes, *, query: ShardQuery, kind: type[Answer]
    ) -> Answer:
        """Return what a process answers in a frame; raises `ShardFailure`."""
        try:
            async with asyncio.timeout(query.remaining()):
                frame = await self._frames.ask(url, asked, body)
        except TimeoutError as error:
            raise _failed("late", LATE) from error
        except PeerError as error:
            raise _failed("unreachable", str(error)) from error
        if frame.kind == FrameKind.REFUSAL:
            raise _failed("refused", _refusal(frame.body))
        if frame.kind != FrameKind.ANSWER:
            raise _failed("contract", frame.body.decode(errors="replace"))
        try:
            return unpack(frame.body, kind)
        except ValueError as error:
            raise _failed("contract", f"{url} answered what is not in the contract: {error}") from error

    def _post(self, url: str, body: str) -> Coroutine[Any, Any, httpx.Response]:
        return self._client.post(url, content=body, headers=JSON_TYPE)

    async def _ask(
        self,
        call: Coroutine[Any, Any, httpx.Response],
        query: ShardQuery,
        read: Callable[[bytes], Answer],
    ) -> Answer | None:
        """Return what the shard answers, None when the product is not there; raises `ShardFailure`."""
        try:
            async with asyncio.timeout(query.remaining()):
                response = await call
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _failed("late", LATE) from error
        except httpx.HTTPError as error:
            raise _failed("unreachable", f"{type(error).__name__}: {error}") from error
        if response.status_code == NOT_FOUND:
            return None
        if response.status_code != OK:
            raise _failed(_kind(response.status_code), _reason(response))
        try:
            return read(response.content)
        except ValidationError as error:
            [fault, *_] = error.errors(include_url=False, include_input=False)
            where = ".".join(map(str, fault["loc"]))
            reason = f"{response.url} answered what is not in the contract: {where}: {fault['msg']}"
            raise _failed("contract", reason) from error


def _failed(kind: FailureKind, reason: str) -> ShardFailure:
    failures.labels(kind).inc()
    return ShardFailure(kind, reason)


def _kind(status: int) -> FailureKind:
    if status == CONFLICT:
        return "refused"
    return "contract" if status in BROKEN_CONTRACT else "unreachable"


def _reason(response: httpx.Response) -> str:
    try:
        refusal = ShardRefusal.model_validate_json(response.content)
    except ValidationError:  # something between us and the shard
        return f"HTTP {response.status_code}: {response.text[:MAX_REASON]}"
    return f"{refusal.reason}: {refusal.explanation}"


def _refusal(body: bytes) -> str:
    try:
        refusal = ShardRefusal.model_validate_json(body)
    except ValidationError:
        return body.decode(errors="replace")
    return f"{refusal.reason}: {refusal.explanation}"


def encode_vector(vector: Vectors | None) -> str | None:
    """Return the vector as base64 of little-endian float32."""
    return None if vector is None else b64encode(vector.astype("<f4").tobytes()).decode()


def decode_vector(text: str) -> Vectors:
    """Return the float32 vector of that base64; raises `ValueError`."""
    return np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32)
