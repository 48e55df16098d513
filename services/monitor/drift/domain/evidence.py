"""Which queries, words and segments an alarm comes from."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.monitor.drift.domain.detector_group import AlarmOnset
from services.monitor.drift.domain.lexicon import Lexicon
from services.monitor.drift.domain.tally import Example, WindowTally

MOST = 5


def evidence(
    onset: AlarmOnset, tally: WindowTally, *, number: int, words: Lexicon, segments: Lexicon
) -> dict[str, tuple[str, ...]]:
    """Return example queries or products, words and segments that are over-represented; what there is."""
    of_documents = onset.alarm.signal == "document-embeddings"
    examples = tally.document_examples if of_documents else tally.query_examples
    by_kind: Mapping[str, tuple[str, ...]] = {
        "products" if of_documents else "queries": _most_telling(onset, examples),
        "terms": () if of_documents else tuple(words.more_frequent(number, most=MOST)),
        "segments": tuple(segments.more_frequent(number, most=MOST)),
    }
    return {name: values for name, values in by_kind.items() if values}


def _most_telling(onset: AlarmOnset, examples: tuple[Example, ...]) -> tuple[str, ...]:
    """Return the texts that pull the most in the direction of the change.

    For embeddings that is the witness function of the MMD (Gretton et al. 2012, section 2.3).
    """
    if onset.alarm.signal.endswith("-embeddings"):
        rated = [(-float(_features(example) @ onset.shift), example.text) for example in examples]
    else:
        low = onset.alarm.signal == "nearest" or onset.alarm.direction == "down"
        rated = [
            (example.similarity if low else -example.similarity, example.text)
            for example in examples
            if example.similarity is not None
        ]
    return tuple(text for _, text in sorted(rated)[:MOST])


def _features(example: Example) -> NDArray[np.float32]:
    return np.frombuffer(example.features, dtype=np.float16).astype(np.float32)
