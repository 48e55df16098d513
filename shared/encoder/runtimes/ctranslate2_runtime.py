"""CTranslate2: transformers of the BERT family on a CPU, in fp32 or int8, without torch."""

from pathlib import Path

import ctranslate2
import numpy as np
import orjson
from numpy.typing import NDArray

from shared.arrays import Vectors
from shared.encoder.runtimes.ctranslate2_conversion import UNPLACED
from shared.encoder.runtimes.head import PoolingHead
from shared.encoder.runtimes.port import Features, RuntimeName

PASS_TOKENS = {"fp32": 1024, "int8": 512}
COMPUTE = {"fp32": "float32", "int8": "int8"}


class CTranslate2Runtime:
    """A converted transformer with its head. Each caller's pass runs in a thread of the library."""

    name: RuntimeName = "ctranslate2"

    def __init__(
        self, converted: Path, head: PoolingHead, *, precision: str, threads: int, pass_tokens: int
    ) -> None:
        self.threads = threads
        self.pass_tokens = pass_tokens or PASS_TOKENS[precision]
        self._head = head
        unplaced = converted / UNPLACED
        self._unplaced = orjson.loads(unplaced.read_bytes()) if unplaced.exists() else {}
        self.encoder = ctranslate2.Encoder(
            str(converted),
            device="cpu",
            compute_type=COMPUTE[precision],
            inter_threads=threads,
            intra_threads=1,
        )

    def forward(self, features: Features) -> Vectors:
        """Return what the head makes of the last layer."""
        mask = features["attention_mask"]
        words = self._placed(features["input_ids"], mask)
        output = self.encoder.forward_batch(
            ctranslate2.StorageView.from_array(words.astype(np.int32)),
            lengths=ctranslate2.StorageView.from_array(mask.sum(axis=1, dtype=np.int32)),
        )
        return self._head.rows(np.asarray(output.last_hidden_state), mask)

    def _placed(self, words: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the words in an order in which each has the place that its model gives it.

        Padding that stands in a text has none: it goes behind the others, as the word that is for it there.
        Neither attention nor a pooling asks for the order, and the first token stays the first.
        """
        if not self._unplaced:
            return words
        moved = (words == self._unplaced["token"]) & (mask > 0)
        if not moved.any():
            return words
        behind = np.where(mask > 0, moved, 2)
        order = np.argsort(behind, axis=1, kind="stable")
        moved, places = np.take_along_axis(moved, order, axis=1), np.arange(words.shape[1])
        return np.where(moved, self._unplaced["first"] + places, np.take_along_axis(words, order, axis=1))
