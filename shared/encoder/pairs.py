"""Models that read a query beside a product: cross-encoders, and late interaction (a vector a token).

They are slower and closer than one vector for each, so they are asked about a few products only.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, MultiVectorEncoder
from torch.nn import Identity

from shared.arrays import Vectors
from shared.encoder.directory import check_directory
from shared.encoder.libraries import loading, quiet
from shared.encoder.pipeline import model_type
from shared.errors import ConfigurationError
from shared.ports import PairModel

MAX_TOKENS = 256
"""Of a query and a product together."""


def load(directory: Path, *, remember: int = 0) -> PairModel:
    """Return the model in a directory; of late interaction, `remember` products' vectors are kept.

    Raises `ConfigurationError` when the directory is not to be loaded or holds another kind of model.
    """
    check_directory(directory)
    quiet()
    try:
        kind = model_type(directory)
        if kind == "MultiVectorEncoder":
            return LateInteraction(MultiVectorEncoder(str(directory), **loading("cpu")), remember=remember)
        if kind == "CrossEncoder":
            return CrossScorer(CrossEncoder(str(directory), max_length=MAX_TOKENS, **loading("cpu")))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigurationError(f"{directory}: {error}") from error
    raise ConfigurationError(f"{directory}: neither a cross-encoder nor a late-interaction model")


class CrossScorer:
    """A cross-encoder: its score is the logit."""

    def __init__(self, model: CrossEncoder) -> None:
        self._model = model

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the logit of each text."""
        pairs = [(query, text) for text in texts]
        scores = self._model.predict(pairs, activation_fn=Identity(), show_progress_bar=False)
        return [float(score) for score in np.asarray(scores).reshape(-1)]


class LateInteraction:
    """A multi-vector model (ColBERT, arXiv 2004.12832); the vectors of the texts seen last are remembered."""

    def __init__(self, model: MultiVectorEncoder, *, remember: int) -> None:
        self._model = model
        self._remember = remember
        self._known: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the mean over the query's tokens of the best cosine in each text."""
        tokens = np.asarray(
            self._model.encode_query([query], convert_to_numpy=True, show_progress_bar=False)[0]
        )
        rows = self._vectors(texts)
        return [float((tokens @ row.T).max(axis=1).mean()) if len(row) else 0.0 for row in rows]

    def _vectors(self, texts: Sequence[str]) -> list[Vectors]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            encoded = self._model.encode_document(missing, convert_to_numpy=True, show_progress_bar=False)
            self._known |= {
                text: np.asarray(row, np.float16) for text, row in zip(missing, encoded, strict=True)
            }
        rows = [self._known[text].astype(np.float32) for text in texts]
        for text in texts:
            self._known.move_to_end(text)
        while len(self._known) > self._remember:
            self._known.popitem(last=False)
        return rows
