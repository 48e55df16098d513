"""Torch, through sentence-transformers: runs every model, on a CPU or a GPU.

A pass has one thread, and several callers run at once, one a core: sharing one pass means a barrier after
every layer, and each barrier waits for a time slice on a busy machine (seen: 0.73 s, not 10 ms, a query).
"""

import os
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from shared.arrays import Vectors
from shared.encoder.libraries import loading, quiet
from shared.encoder.runtimes.port import Features, RuntimeName
from shared.encoder.runtimes.processor import has_amx, processor
from shared.errors import ConfigurationError
from shared.settings import ModelSettings

PASS_TOKENS = {"cpu": 1024, "cuda": 16384}
"""What keeps the device busy: on a CPU, larger passes gain 3 % and make others wait twice as long."""


class TorchRuntime:
    """A directory, loaded by sentence-transformers with all its modules."""

    name: RuntimeName = "torch"

    def __init__(self, directory: Path, settings: ModelSettings) -> None:
        """Load it (seconds); raises `ConfigurationError` when the device is not there."""
        self.device = _device(settings)
        torch.set_num_threads(1)
        cores = settings.threads or len(os.sched_getaffinity(0))
        self.threads = 1 if self.device == "cuda" else cores
        self.pass_tokens = settings.token_budget or PASS_TOKENS[self.device]
        quiet()
        precision = torch.bfloat16 if is_half(settings) else torch.float32
        self.model = SentenceTransformer(str(directory), **loading(self.device, precision)).eval()

    @torch.inference_mode()
    def forward(self, features: Features) -> Vectors:
        """Return the `sentence_embedding` that the last module leaves."""
        tensors = {name: torch.from_numpy(table).to(self.device) for name, table in features.items()}
        embedded: torch.Tensor = self.model(tensors)["sentence_embedding"]
        vectors: Vectors = embedded.float().cpu().numpy()
        return vectors


def _device(settings: ModelSettings) -> str:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ConfigurationError("model.device: this machine has no CUDA device; use auto or cpu")
    return "cuda" if available and settings.device != "cpu" else "cpu"


def is_half(settings: ModelSettings) -> bool:
    """Whether bf16 is configured, or there is hardware that multiplies it (it is slower without)."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    return torch.cuda.is_bf16_supported() if _device(settings) == "cuda" else has_amx(processor())
