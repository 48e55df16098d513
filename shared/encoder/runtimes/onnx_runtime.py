"""ONNX Runtime: any transformer that torch can export, on a CPU, without torch once it is exported."""

import os
from pathlib import Path

import numpy as np

from shared.arrays import Vectors
from shared.encoder.runtimes.head import PoolingHead
from shared.encoder.runtimes.port import Features, RuntimeName

MODEL = "model.onnx"
PASS_TOKENS = 512
ERRORS_ONLY = 3
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""Read by the library when it is loaded: it would write down who this machine is, and send what it does."""


class OnnxRuntime:
    """An exported transformer with its head. A pass runs in the caller's thread."""

    name: RuntimeName = "onnx"

    def __init__(self, exported: Path, head: PoolingHead, *, threads: int, pass_tokens: int) -> None:
        self.threads = threads
        self.pass_tokens = pass_tokens or PASS_TOKENS
        self._head = head
        os.putenv(NO_TELEMETRY, "1")
        import onnxruntime  # noqa: PLC0415 - only after that

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        self.session = onnxruntime.InferenceSession(
            str(exported / MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [given.name for given in self.session.get_inputs()]

    def forward(self, features: Features) -> Vectors:
        """Return what the head makes of the last layer."""
        given = {name: features[name] for name in self._inputs}
        (hidden,) = self.session.run(None, given)
        return self._head.rows(np.asarray(hidden, np.float32), features["attention_mask"])
