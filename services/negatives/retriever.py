"""Asks the search API what it ranks high, without leaving a trace in the query log."""

import asyncio
from typing import NamedTuple

from headrace.search_api import AsyncSearchClient, SearchRefusedError
from schemas.search_api import MAX_K, Fusion, Mode, SearchHit
from services.negatives.domain.candidates import Retrieved, RetrievedProduct
from services.negatives.domain.plan import MiningPlan
from services.negatives.domain.rules import MiningRules
from services.negatives.miner import LiveIndex
from shared.catalogue.product_identity import UNIDENTIFIED, ProductIdentity, title_of
from shared.catalogue.texts import whole_text
from shared.catalogue.words import covered, telling_words
from shared.errors import TransientError

REFUSALS = (400, 422)
"""Statuses by which search takes a text for no query; by any other it refuses whoever asks."""
PROBE = "index"
"""Any word: what matters is which index answers."""
FUSION = Fusion(method="rrf", dense_weight=0.8)
"""Whoever is high in one list is high in the union, whatever the shop ranks by; most are near by vector."""
TIMEOUT_MS = 4000
"""A miner has time."""


class _Ranking(NamedTuple):
    """A whole answer of one index."""

    generation: str
    fingerprint: str
    hits: tuple[SearchHit, ...]


class SearchRetriever:
    """Searches for what may be negatives, and asks for positives that the search does not find."""

    def __init__(self, client: AsyncSearchClient, *, rules: MiningRules, scored_positives: int) -> None:
        self._client = client
        self._rules = rules
        self._scored_positives = scored_positives

    async def start(self) -> None:
        """Nothing to prepare: connections are made when needed."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def live(self) -> LiveIndex:
        """Return the live generation and its model; raises `TransientError`."""
        ranking = await self._search(PROBE, k=1, mode="dense")
        if ranking is None:
            raise TransientError("search refuses to be asked which index is live")
        return LiveIndex(ranking.generation, ranking.fingerprint)

    async def retrieve(self, query: str, plan: MiningPlan) -> Retrieved | None:
        """Return the first by vector and by words with both scores, and what is known of what is right.

        None: search refuses the query. Raises `TransientError`, also for an answer that lacks a shard: a
        positive may be what is missing.
        """
        ranking = await self._search(query, k=min(MAX_K, 2 * self._rules.depth), mode="hybrid")
        if ranking is None:
            return None
        words = telling_words(query)
        hits = {hit.product_id: self._hit(words, hit) for hit in ranking.hits}
        scores = {name: hits[name].dense for name in plan.positives if name in hits}
        identities = [hits[name].identity for name in hits.keys() & plan.right]
        absent = [name for name in plan.positives if name not in hits][: self._scored_positives]
        scored = await asyncio.gather(*(self._ask(query, name, ranking.generation) for name in absent))
        for name, (score, identity) in zip(absent, scored, strict=True):
            scores[name] = score
            identities.append(identity)
        return Retrieved(
            generation=ranking.generation,
            fingerprint=ranking.fingerprint,
            hits=tuple(hits.values()),
            scores={name: score for name, score in scores.items() if score is not None},
            identities=tuple(identities),
        )

    def _hit(self, words: frozenset[str], hit: SearchHit) -> RetrievedProduct:
        return RetrievedProduct(
            product_id=hit.product_id,
            dense=hit.scores.dense,
            lexical=hit.scores.lexical,
            identity=self._rules.identity_of(hit.fields),
            title=title_of(hit.fields, self._rules.titles),
            covers=lambda: covered(words, telling_words(whole_text(hit.fields))),
            partition=hit.provenance.partition,
            offset=hit.provenance.offset,
        )

    async def _search(self, text: str, *, k: int, mode: Mode) -> _Ranking | None:
        try:
            answer = await self._client.search(
                text,
                k=k,
                mode=mode,
                fusion=FUSION,
                timeout_ms=TIMEOUT_MS,
                log=False,
            )
        except SearchRefusedError as refusal:
            if refusal.status in REFUSALS:
                return None
            raise _not_served(refusal) from refusal
        if answer.partial or answer.fingerprint is None:
            raise TransientError("a shard did not answer")
        return _Ranking(answer.generation, answer.fingerprint, answer.hits)

    async def _ask(
        self, query: str, product_id: str, generation: str
    ) -> tuple[float | None, ProductIdentity]:
        """Return a product's score for the query and its identity; nothing of one that is not indexed."""
        try:
            why = await self._client.why(query, product_id, mode="dense", generation=generation, depth=1)
            if why.shard is None:
                return None, UNIDENTIFIED
            product = await self._client.product(product_id, generation=generation)
        except SearchRefusedError as refusal:
            raise _not_served(refusal) from refusal
        identity = UNIDENTIFIED if product is None else self._rules.identity_of(product.fields)
        return why.shard.dense.score, identity


def _not_served(refusal: SearchRefusedError) -> TransientError:
    """Return what a refusal is that says nothing of the query: an operator has to mend it meanwhile."""
    return TransientError(f"search: HTTP {refusal.status}: {refusal}")
