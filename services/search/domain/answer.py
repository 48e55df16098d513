"""The answers of the API, as JSON-ready values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.search.domain.candidate import Report, missing
from services.search.domain.fusion import Ranked
from shared.ports import Vectors

JsonObject = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A ranked list, and what it is made of."""

    query_id: str
    generation: str
    fingerprint: str | None
    mode: str
    reports: Sequence[Report]
    ranked: Sequence[Ranked]
    vector: Vectors | None = None
    """What the query was embedded to; None for a search by words alone."""
    threshold: float | None = None
    """The similarity below which a product is not right, if one was fitted."""
    last_stage: str | None = None
    """What became of the last stage; None: there is none, or none was asked for."""

    @property
    def partial(self) -> bool:
        """Whether a partition is missing from it."""
        return bool(missing(self.reports))

    @property
    def weak(self) -> bool | None:
        """Whether not even the most similar hit is right; None: there is nothing to tell it by."""
        if self.threshold is None or self.vector is None:
            return None
        similar = [it.candidate.dense for it in self.ranked if it.candidate.dense is not None]
        return max(similar, default=-1.0) < self.threshold

    def json(self, *, took_ms: float, fields: Sequence[str] | None) -> JsonObject:
        """Return the body of the response; `fields` chooses attributes of the hits (None: all)."""
        return {
            "query_id": self.query_id,
            "generation": self.generation,
            "fingerprint": self.fingerprint,
            "mode": self.mode,
            "took_ms": round(took_ms, 3),
            "partial": self.partial,
            "weak": self.weak,
            "last_stage": self.last_stage,
            "partitions": [asdict(report) for report in self.reports],
            "hits": [self._hit(place, ranked, fields) for place, ranked in enumerate(self.ranked, start=1)],
        }

    def _hit(self, place: int, ranked: Ranked, fields: Sequence[str] | None) -> JsonObject:
        candidate = ranked.candidate
        found = candidate.fields or {}
        return {
            "rank": place,
            "product_id": candidate.product_id,
            "score": ranked.score,
            "scores": {
                "dense": candidate.dense,
                "lexical": candidate.lexical,
                "last_stage": ranked.last_stage,
            },
            "provenance": {
                "generation": self.generation,
                "partition": candidate.partition,
                "segment": candidate.segment,
                "offset": candidate.offset,
                "epoch": candidate.epoch,
                "passage": candidate.passage,
            },
            "fields": found if fields is None else {name: found[name] for name in fields if name in found},
        }
