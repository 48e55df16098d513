"""What is logged of an answer."""

from base64 import b64encode
from datetime import datetime

from schemas.search import Ranking, SearchQuery
from schemas.search_api import SearchRequest
from services.search.domain.answer import SearchAnswer
from services.search.domain.query import clean

NO_MODEL = "0" * 16
"""The fingerprint of an answer made without a model (mode lexical)."""


def query_record(
    request: SearchRequest, answer: SearchAnswer, *, now: datetime, application: str, took_ms: float
) -> SearchQuery:
    """Return the UBI 1.3 query record of an answer, with how it was ranked."""
    return SearchQuery(
        query_id=answer.query_id,
        user_query=clean(request.text),
        timestamp=now,
        application=request.application or application,
        client_id=request.client_id,
        session_id=request.session_id,
        user_id=request.user_id,
        object_id_field="product_id",
        query_response_id=answer.query_id,
        query_response_object_ids=tuple(hit.candidate.product_id for hit in answer.ranked),
        ranking=Ranking(
            generation=answer.generation,
            fingerprint=answer.fingerprint or NO_MODEL,
            mode=answer.mode,
            scores=tuple(hit.score for hit in answer.ranked),
            similarities=tuple(round(score, 6) for score in answer.similarities),
            vector="" if answer.vector is None else b64encode(answer.vector.astype("<f2").tobytes()).decode(),
            partial=answer.partial,
            took_ms=took_ms,
            trial=answer.trial,
            explored=answer.explored,
        ),
    )
