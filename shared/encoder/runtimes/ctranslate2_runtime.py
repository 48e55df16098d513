"""CTranslate2: transformers of the BERT family on a CPU, in fp32 or int8, without torch."""

from pathlib import Path

import ctranslate2
import numpy as np

from shared.encoder.runtimes.head import PoolingHead
from shared.encoder.runtimes.port import Features, RuntimeName
from shared.ports import Vectors

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
        output = self.encoder.forward_batch(
            ctranslate2.StorageView.from_array(features["input_ids"].astype(np.int32)),
            lengths=ctranslate2.StorageView.from_array(mask.sum(axis=1, dtype=np.int32)),
        )
        return self._head.rows(np.asarray(output.last_hidden_state), mask)
