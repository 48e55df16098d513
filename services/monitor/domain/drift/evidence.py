"""Which queries, words and segments an alarm comes from."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.drift.lexicon import Lexicon
from services.monitor.domain.drift.panel import News
from services.monitor.domain.drift.tally import Example, Tally

MOST = 5


def evidence(
    news: News, tally: Tally, *, number: int, words: Lexicon, segments: Lexicon
) -> dict[str, tuple[str, ...]]:
    """Return example queries or products, words and segments that are over-represented; what there is."""
    of_documents = news.alarm.signal == "document-embeddings"
    examples = tally.document_examples if of_documents else tally.query_examples
    found: Mapping[str, tuple[str, ...]] = {
        "products" if of_documents else "queries": _telling(news, examples),
        "terms": () if of_documents else tuple(words.more_frequent(number, most=MOST)),
        "segments": tuple(segments.more_frequent(number, most=MOST)),
    }
    return {name: values for name, values in found.items() if values}


def _telling(news: News, examples: tuple[Example, ...]) -> tuple[str, ...]:
    """Return the texts that pull the most in the direction of the change.

    For embeddings that is the witness function of the MMD (Gretton et al. 2012, section 2.3).
    """
    if news.alarm.signal.endswith("-embeddings"):
        rated = [(-float(_features(example) @ news.away), example.text) for example in examples]
    else:
        low = news.alarm.signal == "nearest" or news.alarm.direction == "down"
        told = [(each.similarity, each.text) for each in examples if each.similarity is not None]
        rated = [(value if low else -value, text) for value, text in told]
    return tuple(text for _, text in sorted(rated)[:MOST])


def _features(example: Example) -> NDArray[np.float32]:
    return np.frombuffer(example.features, dtype=np.float16).astype(np.float32)
