"""What every runtime promises."""

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.arrays import Vectors
from shared.errors import ConfigurationError

Features = Mapping[str, NDArray[np.int64]]
"""A table (texts, longest) of each kind the tokenizer gives: `input_ids`, padded behind each text, and
`attention_mask`, 0 where it is padding."""
AGREEMENT = 0.9999
"""The least cosine to torch's fp32 of a runtime in fp32: such vectors may meet in one index."""
HALF_AGREEMENT = 0.999
"""That of bf16, where the hardware multiplies it: it may take the place of fp32 as well."""
RuntimeName = Literal["torch", "ctranslate2", "onnx"]


class UnsupportedModelError(ConfigurationError):
    """A runtime cannot run this model, or does not give its vectors; torch can."""


class Runtime(Protocol):
    """One loaded model, for `threads` callers at once, a core each."""

    name: RuntimeName
    threads: int
    pass_tokens: int
    """Tokens (padding counted) of a forward pass that keep it busy."""

    def forward(self, features: Features) -> Vectors:
        """Return the raw embedding of each text of one packed batch, float32, in order (blocking).

        Neither cut to fewer dimensions nor brought to length one, unless a module of the model does that.
        """
        ...
