"""Lets every compiled loop run once, so that no search waits for a compiler: seconds, the first time."""

import numpy as np

from services.shards.head import Head
from services.shards.live_recall import RecentQueries
from services.shards.part import State
from services.shards.products import ParsedProduct
from services.shards.searching import ViewQuery, search, terms_of
from services.shards.view import View
from shared.retrieval.settings import TextSettings

VECTOR = np.array([[1, 0]], np.float16)


def warm_up(settings: TextSettings) -> None:
    """Search two products, one of which is gone, by vector and by words."""
    head = Head(2, title_weight=settings.title_weight)
    words = terms_of("two words").tobytes()
    for place in range(2):
        product = ParsedProduct(f"p{place}", place, 1, {}, b"", State(b"", b""), words, words, VECTOR)
        head.append([product])
    head.kill([0])
    view = View((head.view,), 2, None, 2, settings.title_weight, RecentQueries())
    for k in (1, 2):
        search([view], ViewQuery(vector=VECTOR[0].astype(np.float32), text="two words", k=k))
