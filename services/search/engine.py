"""One search from request to answer: choose the generation, embed, scatter, merge, fuse, cut."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from schemas.fields import FieldsResponse
from schemas.search_api import (
    Fusion,
    Mode,
    ProductExplanation,
    ProductResponse,
    SearchRequest,
    SimilarRequest,
)
from services.search.domain.answer import SearchAnswer
from services.search.domain.candidate import ShardAnswer, merge
from services.search.domain.exploration import explore
from services.search.domain.fusion import rank
from services.search.domain.interleaving import Participation, is_shown, participation, taking_part
from services.search.domain.query import clean
from services.search.domain.route import NO_OWNER, Route, route
from services.search.fields import check_filters, fields_of
from services.search.generation import ServedGenerations
from services.search.hydration import hydrated
from services.search.owners import Owners
from services.search.refusals import unavailable
from services.search.reranker import Reranker
from services.search.scatter import scatter
from services.search.settings import SearchSettings
from services.search.shards import ShardClient, ShardFailure, ShardQuery, decode_vector
from services.search.trial import ask_both, undrafted
from services.search.words import WordCounts
from shared.cluster.members import OwnerRecord
from shared.errors import TransientError
from shared.generations.fitted import FittedParameters
from shared.http.problem import Refusal
from shared.kafka.partitioning import partition_of
from shared.retrieval.fusion import Tiers

RANKING_SHARE = 0.9
"""Of the time of a search, what shards may take for their candidates; the rest is for what these say."""


@dataclass(frozen=True, slots=True)
class SearchDependencies:
    """What searches are made with."""

    generations: ServedGenerations
    owners: Owners
    shards: ShardClient
    new_id: Callable[[], str]
    reranker: Reranker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextSearch:
    """What every generation is asked alike."""

    request: SearchRequest
    text: str
    query_id: str
    k: int
    """Hits wanted of each: more than a shopper gets where a reranker reads or exploration shows them."""
    deadline: float
    """A moment of the event loop's clock."""


class SearchEngine:
    """Answers requests; raises `Refusal` when there is no honest answer."""

    def __init__(self, settings: SearchSettings, dependencies: SearchDependencies) -> None:
        self._settings = settings
        self._generations = dependencies.generations
        self._owners = dependencies.owners
        self._shards = dependencies.shards
        self._words = WordCounts(dependencies.shards, wait=settings.hedge_after)
        self._reranker = dependencies.reranker
        self._new_id = dependencies.new_id
        self._turn = 0

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """Answer a text query."""
        text = clean(request.text)
        if not text:
            raise Refusal(
                422, "query.empty", "an empty query finds nothing", fix="give `text` at least one word"
            )
        reranker = self._reranker if request.reranker and request.mode == "hybrid" else None
        asked = _TextSearch(
            request=request,
            text=text,
            query_id=request.query_id or self._new_id(),
            k=max(request.k, self._explorable(request), reranker.depth if reranker else 0),
            deadline=self._deadline(request),
        )
        generation = self._generations.choose(request.generation)
        trial = self._generations.trial if self._settings.log_queries else None
        part = participation(trial, request, generation=generation)
        answers = await self._answers(asked, generation, part)
        if reranker is not None:
            answers = await _reread(reranker, asked, answers)
        if part is None:
            return self._explored(answers[0], request)
        answers = [replace(answer, ranked=answer.ranked[: request.k]) for answer in answers]
        return taking_part(answers, part, k=request.k)

    def _explorable(self, request: SearchRequest) -> int:
        """Return how deep a ranking may be explored for this; 0: not at all."""
        on = self._settings.exploration > 0 and self._settings.log_queries and is_shown(request)
        return self._settings.depth if on else 0

    def _explored(self, answer: SearchAnswer, request: SearchRequest) -> SearchAnswer:
        """Return the first hits of an answer, some of them from deeper where places are explored."""
        own, share = answer.ranked[: request.k], self._settings.exploration
        if not self._explorable(request):
            return replace(answer, ranked=own)
        shown, places = explore(answer.ranked, request.k, share=share, query_id=answer.query_id)
        return replace(answer, ranked=shown, own=own, explored=places)

    async def _answers(
        self, asked: "_TextSearch", generation: str, part: Participation | None
    ) -> list[SearchAnswer]:
        """Return the generation's answer, and the candidate's after it where both are to be interleaved."""
        answer = self._of(generation, asked)
        if part is None or part.arm == "rest":
            return [await answer]
        candidate = self._of(part.trial.candidate, asked)
        return await ask_both(answer, candidate, budget=self._settings.trial_budget)

    async def _of(self, generation: str, asked: "_TextSearch") -> SearchAnswer:
        """Answer by one generation: with its own model, and by the weight that was fitted for it."""
        began, request = _now(), asked.request
        query = await self._query(
            request, text=asked.text, mode=request.mode, generation=generation, k=asked.k
        )
        fitted = self._generations.fitted(generation)
        fusion = request.fusion or self._fusion(fitted)
        answer = await self._answer(query, asked.k, query_id=asked.query_id, fusion=fusion)
        return replace(answer, threshold=fitted.threshold, took_ms=round((_now() - began) * 1000, 3))

    async def similar(self, request: SimilarRequest) -> SearchAnswer:
        """Answer with the products nearest to a product (which is left out itself) or a text."""
        if request.product_id is None:
            query = await self._query(request, text=clean(request.text or ""), mode="dense")
            return await self._answer(query, request.k, query_id=self._new_id(), fusion=Fusion())
        query = await self._query(request, text=None, mode="dense")
        owner = await self._owner(query.generation, request.product_id)
        try:
            product = await self._shards.similar(owner, query, request.product_id)
        except ShardFailure as error:
            raise unavailable(str(error)) from error
        if product is None:
            raise _no_product(request.product_id)
        vector = decode_vector(product.vector)
        query = replace(query, vector=vector, fingerprint=product.fingerprint, k=query.k + 1)
        return await self._answer(
            query, request.k, query_id=self._new_id(), fusion=Fusion(), without=request.product_id
        )

    async def product(self, product_id: str, generation: str | None) -> ProductResponse:
        """Return a product as the index has it."""
        query = await self._query(_plain(generation), text=None, mode="lexical")
        owner = await self._owner(query.generation, product_id)
        try:
            product = await self._shards.product(owner, query, product_id)
        except ShardFailure as error:
            raise unavailable(str(error)) from error
        if product is None:
            raise _no_product(product_id)
        return ProductResponse(**dict(product), generation=query.generation, epoch=owner.epoch)

    async def fields(self, generation: str | None) -> FieldsResponse:
        """Return every attribute that a product of the generation has, and how often."""
        query = await self._query(_plain(generation), text=None, mode="lexical")
        return await fields_of(self._shards, await self._route(query.generation, None), query)

    async def why(
        self, request: SearchRequest, product_id: str
    ) -> tuple[SearchAnswer, ProductExplanation | None]:
        """Return the answer to the query, and what the product's shard says of the product."""
        answer = await self.search(request)
        query = await self._query(request, text=clean(request.text), mode=request.mode)
        owner = await self._owner(query.generation, product_id)
        try:
            return answer, await self._shards.explain(owner, query, product_id)
        except ShardFailure as error:
            raise unavailable(str(error)) from error

    async def _query(
        self,
        request: SearchRequest | SimilarRequest,
        *,
        text: str | None,
        mode: Mode,
        generation: str | None = None,
        k: int | None = None,
    ) -> ShardQuery:
        """Return what the shards are asked; embeds the text when the mode needs it."""
        query = ShardQuery(
            generation=generation or self._generations.choose(request.generation),
            mode=mode,
            k=Tiers.of(k or request.k, self._settings.depth).last,
            deadline=self._deadline(request),
            text=text if mode != "dense" else None,
            filters=request.filters,
            exact=request.exact,
            min_offsets=request.min_offsets,
        )
        return query if text is None or mode == "lexical" else await self._embedded(query, text)

    def _deadline(self, request: SearchRequest | SimilarRequest) -> float:
        """Return when the time of a request is over that is asked now, on the event loop's clock."""
        limit = request.timeout_ms / 1000 if request.timeout_ms else self._settings.timeout.total_seconds()
        return _now() + limit

    def _fusion(self, fitted: FittedParameters) -> Fusion:
        """Return how hybrid searches are fused when the request does not say."""
        fusion, weight = self._settings.fusion, fitted.dense_weight
        return fusion if weight is None else fusion.model_copy(update={"dense_weight": weight})

    async def _embedded(self, query: ShardQuery, text: str) -> ShardQuery:
        vectors = self._generations.vectors(query.generation)
        reason = self._generations.missing(query.generation)
        if vectors is None or reason is not None:
            raise unavailable(reason or "")
        try:
            async with asyncio.timeout(query.remaining()):
                vector = await vectors.of(text)
        except TimeoutError:
            late = "the query was not embedded in time"
            raise Refusal(504, "timeout", late, fix="give a larger `timeout_ms`") from None
        except TransientError as error:
            raise Refusal(
                429, "overloaded", str(error), fix="ask again in a second", headers={"Retry-After": "1"}
            ) from error
        return replace(query, vector=vector, fingerprint=vectors.fingerprint)

    async def _answer(
        self, query: ShardQuery, k: int, *, query_id: str, fusion: Fusion, without: str | None = None
    ) -> SearchAnswer:
        plan = await self._route(query.generation, query.fingerprint)
        query = replace(query, statistics=await self._words.of(plan, query))
        sooner = replace(query, deadline=_now() + query.remaining() * RANKING_SHARE)
        answers = await scatter(self._shards.query, plan, sooner, hedge_after=self._settings.hedge_after)
        self._must_answer(query.generation, answers)
        await check_filters(self._shards, plan, query, answers=answers)
        candidates = [candidate for candidate in merge(answers) if candidate.product_id != without]
        best = rank(candidates, k, mode=query.mode, fusion=fusion, depth=self._settings.depth)
        ranked, answers = await hydrated(self._shards, best, query, answers=answers)
        self._must_answer(query.generation, answers)
        return SearchAnswer(
            query_id=query_id,
            generation=query.generation,
            fingerprint=query.fingerprint,
            mode=query.mode,
            reports=[answer.report for answer in answers],
            ranked=ranked,
            vector=query.vector,
        )

    def _must_answer(self, generation: str, answers: Sequence[ShardAnswer]) -> None:
        """Refuse when no shard answered; note that the list of owners may be out of date when one did not."""
        reasons = [answer.report.reason for answer in answers if not answer.report.answered]
        if reasons:
            self._owners.forget(generation)
        if len(reasons) == len(answers):
            explanation = "; ".join(sorted({reason or "" for reason in reasons}))
            raise unavailable(explanation or f"generation {generation} has no shards")

    async def _route(self, generation: str, fingerprint: str | None) -> Route:
        self._turn += 1
        try:
            owners = await self._owners.of(generation)
        except TransientError as error:
            raise unavailable(str(error)) from error
        return route(owners, fingerprint=fingerprint, turn=self._turn)

    async def _owner(self, generation: str, product_id: str) -> OwnerRecord:
        """Return an owner of the shard that a product belongs to."""
        plan = await self._route(generation, None)
        if not plan.partitions:
            raise unavailable(f"generation {generation} has no shards")
        number = partition_of(product_id.encode(), plan.partitions)
        if not plan.choices[number]:
            raise unavailable(plan.unserved.get(number, NO_OWNER))
        return plan.choices[number][0]


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _reread(
    reranker: Reranker, asked: _TextSearch, answers: Sequence[SearchAnswer]
) -> list[SearchAnswer]:
    """Return the answers in the reranker's order; without the candidate's if that was not read in time."""
    before = [answer.ranked for answer in answers]
    rankings, outcome = await reranker.order(asked.text, before, within=asked.deadline - _now())
    if len(rankings) < len(answers):
        undrafted.labels("unread").inc()
    pairs = zip(answers, rankings, strict=False)
    return [replace(answer, ranked=ranked, reranker=outcome) for answer, ranked in pairs]


def _plain(generation: str | None) -> SimilarRequest:
    return SimilarRequest(text="-", generation=generation)


def _no_product(product_id: str) -> Refusal:
    return Refusal(
        404,
        "product.unknown",
        f"there is no live product {product_id}",
        fix="check the id, or its change's offset",
    )
