"""A transformer as ONNX, exported by torch (some ten seconds for 100 MB)."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from shared.encoder.runtimes.onnx_runtime import MODEL
from shared.encoder.runtimes.port import UnsupportedModelError

EXAMPLE = (2, 6)
"""Texts and tokens of the example that is traced; neither is 1, which would be taken for a constant."""


class LastLayer(torch.nn.Module):
    """A transformer whose inputs come in a fixed order, and that gives one tensor."""

    def __init__(self, transformer: torch.nn.Module, inputs: Sequence[str]) -> None:
        super().__init__()
        self.transformer = transformer
        self.inputs = tuple(inputs)

    def forward(self, *tables: torch.Tensor) -> Any:  # Any: of transformers
        """Return the last layer's output."""
        return self.transformer(**dict(zip(self.inputs, tables, strict=True))).last_hidden_state


def export(model: SentenceTransformer, inputs: Sequence[str], target: Path) -> None:
    """Write the first module's transformer into the directory `target`; it will be given these `inputs`.

    Raises `UnsupportedModelError` when torch cannot export it.
    """
    example = tuple(torch.ones(EXAMPLE, dtype=torch.int64) for _ in inputs)
    dimensions = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    last_layer = LastLayer(model[0].auto_model, inputs).eval()
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                last_layer,
                example,
                str(target / MODEL),
                input_names=list(inputs),
                output_names=["last_hidden_state"],
                dynamic_shapes=(tuple(dimensions for _ in inputs),),
                dynamo=True,
                verbose=False,
                external_data=False,
            )
    except Exception as error:  # torch's exporter raises whatever a model's code raises
        raise UnsupportedModelError(f"torch cannot export it to ONNX: {error!r}"[:300]) from error
