"""From a question to what views are asked, or why they are not."""

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from schemas.shard_api import ShardQuestion
from services.shards.rows import Floats
from services.shards.searching import ViewQuery
from services.shards.serving import RefusedQueryError
from services.shards.view import View


def view_query(question: ShardQuestion, views: Sequence[View], *, k: int, exact: bool) -> ViewQuery:
    """Return what the views are asked; raises as `check_vector` does."""
    vector = _vector(question.vector)
    check_vector(vector, question.fingerprint, views)
    return ViewQuery(
        vector=vector, text=question.text, k=k, mode=question.mode, filters=question.filters, exact=exact
    )


def check_vector(vector: Floats | None, fingerprint: str | None, views: Sequence[View]) -> None:
    """Raise `RefusedQueryError` where a vector is of another model, `ValueError` when it is none."""
    if vector is None:
        return
    if not vector.size or not np.isfinite(vector).all():
        raise ValueError("the vector is empty or has a NaN or an infinity")
    for view in views:
        if view.fingerprint is not None and fingerprint != view.fingerprint:
            raise RefusedQueryError(
                "fingerprint.mismatch",
                f"the query was embedded by model {fingerprint}, this shard holds {view.fingerprint}",
            )
        if view.dimensions is not None and vector.size != view.dimensions:
            raise ValueError(f"the query has {vector.size} dimensions, the shard {view.dimensions}")


def _vector(encoded: str | None) -> Floats | None:
    """Decode a query vector; raises ValueError when it is not float32 numbers."""
    if encoded is None:
        return None
    try:
        return np.frombuffer(base64.b64decode(encoded, validate=True), "<f4").astype(np.float32)
    except binascii.Error as error:
        raise ValueError(f"the vector is not base64: {error}") from error
