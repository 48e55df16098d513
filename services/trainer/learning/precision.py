"""On what is computed, and how exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from shared.encoder.runtimes.processor import has_amx, processor


@dataclass(frozen=True, slots=True)
class Precision:
    """A device; `half` computes in bf16 with the weights kept in fp32."""

    device: str = "cpu"
    half: bool = False

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute in that precision."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            yield


def best() -> Precision:
    """Return a GPU if there is one; bf16 where the hardware multiplies it (GPU, AMX), else fp32."""
    if torch.cuda.is_available():
        return Precision("cuda", torch.cuda.is_bf16_supported())
    return Precision("cpu", has_amx(processor()))
