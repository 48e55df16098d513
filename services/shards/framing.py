"""The shard's side of a search in frames: all partitions that are asked, in one thread, as one index."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import wraps

import numpy as np
from msgspec.structs import replace

from schemas.shard_frames import (
    CandidatesQuestion,
    Documents,
    DocumentsQuestion,
    PartitionCandidates,
    ShardCandidates,
    StatisticsQuestion,
    TermStatistics,
    pack,
    unpack,
    unpack_filters,
)
from services.shards import searching
from services.shards.api import ShardQueryService
from services.shards.asking import check_vector
from services.shards.searching import ShardScores, ViewQuery, search, terms_of, word_statistics
from services.shards.serving import RefusedQueryError, Serving
from services.shards.shard import Shard
from services.shards.view import View
from shared.frames.protocol import FrameKind
from shared.frames.server import Answering, FrameRefusal
from shared.retrieval.bm25 import CorpusStatistics

Answer = Callable[["FrameAnswers", bytes], Awaitable[bytes]]


def _refusing(answer: Answer) -> Answer:
    """Say a shard's refusal in a frame."""

    @wraps(answer)
    async def refusing(self: "FrameAnswers", body: bytes) -> bytes:
        try:
            return await answer(self, body)
        except RefusedQueryError as error:
            raise FrameRefusal(error.refusal.model_dump_json().encode()) from error

    return refusing


class FrameAnswers:
    """Answers what is asked in frames; raises `FrameRefusal`, or `ValueError` for what is not understood."""

    def __init__(self, shards: ShardQueryService) -> None:
        self._shards = shards

    def by_kind(self) -> dict[int, Answering]:
        """Return what answers which kind of question."""
        return {
            FrameKind.CANDIDATES: self.candidates,
            FrameKind.DOCUMENTS: self.documents,
            FrameKind.STATISTICS: self.statistics,
        }

    @_refusing
    async def candidates(self, body: bytes) -> bytes:
        """Return the candidates of the partitions, each with both its scores."""
        question = unpack(body, CandidatesQuestion)
        filters, vector = unpack_filters(question.filters), np.frombuffer(question.vector, "<f4")
        wait = timedelta(milliseconds=question.timeout_ms)
        shards = await self._shards.caught_up(question, question.min_offsets, within=wait)
        views = [shard.shard.view for shard in shards]  # of one moment: what is applied later is not seen
        query = ViewQuery(
            vector=vector if vector.size else None,
            text=question.text,
            k=question.k,
            mode=question.mode,
            filters=filters,
            exact=question.exact,
        )
        check_vector(query.vector, question.fingerprint, views)
        counted = self._shards.served(question.generation)

        def searched() -> bytes:
            statistics = _statistics(query, question.statistics, counted)
            answers = map(_answer, shards, views, search(views, query, statistics))
            with_kinds = [_with_kinds(*pair, query) for pair in zip(answers, views, strict=True)]
            return pack(ShardCandidates(tuple(with_kinds)))

        return await self._shards.in_thread(searched)

    @_refusing
    async def documents(self, body: bytes) -> bytes:
        """Return what products say."""
        question = unpack(body, DocumentsQuestion)
        shards = {
            number: self._shards.serving(question.generation, number).shard for number in question.products
        }

        def read() -> bytes:
            products = question.products.items()
            return pack(Documents({number: _documents(shards[number], ids) for number, ids in products}))

        return await self._shards.in_thread(read)

    @_refusing
    async def statistics(self, body: bytes) -> bytes:
        """Return how often the words of a text are in the partitions."""
        question = unpack(body, StatisticsQuestion)
        shards = await self._shards.caught_up(question, {}, within=timedelta(0))
        views = [shard.shard.view for shard in shards]
        terms = terms_of(question.text)
        corpus, _, counts = await self._shards.in_thread(lambda: word_statistics(views, terms))
        return pack(TermStatistics(*corpus, tuple(counts.tolist())))


def _with_kinds(answer: PartitionCandidates, view: View, query: ViewQuery) -> PartitionCandidates:
    """Return an answer without candidates with what its filters might have been about."""
    if answer.product_ids or not query.filters:
        return answer
    return replace(answer, kinds=view.kinds(query.filters))


def _statistics(
    query: ViewQuery, given: TermStatistics | None, counted: Sequence[View]
) -> searching.WordStatistics | None:
    """Return what words are scored by; raises `ValueError` when what is given is of other terms."""
    if not query.lexical or query.text is None:
        return None
    terms = terms_of(query.text)
    if given is None:
        return word_statistics(counted, terms)
    if len(given.frequencies) != terms.size:
        raise ValueError(f"{len(given.frequencies)} frequencies for {terms.size} terms")
    corpus = CorpusStatistics(given.documents, given.title_terms, given.body_terms)
    return searching.WordStatistics(corpus, terms, np.array(given.frequencies, np.int64))


def _answer(serving: Serving, view: View, scores: ShardScores) -> PartitionCandidates:
    parts = view.parts
    places = list(zip(scores.parts.tolist(), scores.places.tolist(), strict=True))
    offsets = np.array([parts[part].offsets[place] for part, place in places], "<i8")
    return PartitionCandidates(
        serving.partition,
        serving.epoch,
        max(view.next_offset or 0, 0),
        view.fingerprint,
        view.documents,
        None,
        tuple([parts[part].product_id(place) for part, place in places]),
        tuple([part.name for part in parts]),
        scores.parts.astype("<i4").tobytes(),
        scores.dense.astype("<f4").tobytes(),
        scores.lexical.astype("<f4").tobytes(),
        scores.passages.astype("<i8").tobytes(),
        offsets.tobytes(),
    )


def _documents(shard: Shard, product_ids: Sequence[str]) -> tuple[bytes, ...]:
    places = map(shard.place, product_ids)
    return tuple([b"" if place is None else place.part.fields(place.number) for place in places])
