"""The answer to a search, and how the API says it."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from schemas.search import TrialAnswer
from schemas.search_api import Fields, Mode, PartitionReport
from services.search.domain.candidate import Candidate, missing
from services.search.domain.draft import Team
from services.search.domain.fusion import RankedCandidate
from shared.arrays import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """A ranked list, and what it is made of."""

    query_id: str
    generation: str
    fingerprint: str | None
    mode: Mode
    reports: Sequence[PartitionReport]
    ranked: Sequence[RankedCandidate]
    vector: Vectors | None = None
    """What the query was embedded to; None for a search by words alone."""
    threshold: float | None = None
    """The similarity below which a product is not right, if one was fitted."""
    reranker: str | None = None
    """What became of the reranker; None: there is none, or none was asked for."""
    trial: TrialAnswer | None = None
    """How it takes part in the trial of a generation."""
    own: Sequence[RankedCandidate] | None = None
    """The best of its generation alone, where `ranked` has others between them; None: the same."""
    explored: tuple[int, ...] = ()
    """Places, from 1, that show what is ranked deeper."""
    took_ms: float = 0.0
    """How long its generation took, from the text to the ranking."""

    @property
    def similarities(self) -> list[float]:
        """The cosines of its generation's own hits that the vector search found, in order."""
        scores = (hit.candidate.hit.dense for hit in (self.ranked if self.own is None else self.own))
        return [score for score in scores if score is not None]

    @property
    def partial(self) -> bool:
        """Whether a partition is missing from it."""
        return bool(missing(self.reports))

    @property
    def weak(self) -> bool | None:
        """Whether not even the most similar hit is right; None: there is nothing to tell it by."""
        if self.threshold is None or self.vector is None:
            return None
        return max(self.similarities, default=-1.0) < self.threshold

    def body(self, *, took_ms: float, fields: Sequence[str] | None) -> bytes:
        """Return the body of the response, a `SearchResponse`; `fields` chooses attributes (None: all).

        What products say is joined as their shards gave it, and nothing is checked once more: with a model of
        every hit ten of them take seven times as long.
        """
        return orjson.dumps(
            {
                "query_id": self.query_id,
                "trial": self.trial.trial if self.trial else None,
                "generation": self.generation,
                "fingerprint": self.fingerprint,
                "mode": self.mode,
                "took_ms": round(took_ms, 3),
                "partial": self.partial,
                "weak": self.weak,
                "reranker": self.reranker,
                "partitions": [report.model_dump() for report in self.reports],
                "hits": [self._hit(place, ranked, fields) for place, ranked in enumerate(self.ranked, 1)],
            }
        )

    def _hit(self, place: int, ranked: RankedCandidate, fields: Sequence[str] | None) -> dict[str, object]:
        """Return a `SearchHit`."""
        candidate, hit = ranked.candidate, ranked.candidate.hit
        team = self._team(place)
        return {
            "rank": place,
            "product_id": hit.product_id,
            "score": ranked.score,
            "team": team,
            "scores": {"dense": hit.dense, "lexical": hit.lexical, "reranker": ranked.reranker},
            "provenance": {
                "generation": self._generation(team),
                "partition": candidate.partition,
                "segment": hit.segment,
                "offset": hit.offset,
                "epoch": candidate.epoch,
                "passage": hit.passage,
            },
            "fields": _chosen(candidate, fields),
        }

    def _team(self, place: int) -> Team | None:
        """Return whose the hit at a place is, from 1."""
        if self.trial is None or not self.trial.teams:
            return None
        return "A" if self.trial.teams[place - 1] == "A" else "B"

    def _generation(self, team: Team | None) -> str:
        if self.trial is None or team != "B":
            return self.generation
        _, candidate = self.trial.parts
        return candidate.generation


def _chosen(candidate: Candidate, names: Sequence[str] | None) -> Fields | orjson.Fragment:
    if names is None:
        return orjson.Fragment(candidate.document)
    fields = candidate.fields
    return {name: fields[name] for name in names if name in fields}
