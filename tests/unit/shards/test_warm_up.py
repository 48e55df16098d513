"""What runs before a shards worker is ready."""

from services.shards.warm_up import warm_up
from shared.retrieval.bm25 import _score
from shared.retrieval.settings import TextSettings


def test_every_loop_of_a_search_is_compiled_before_the_first_one():
    warm_up(TextSettings())
    assert _score.signatures
