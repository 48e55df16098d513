"""The `Encoder` on sentence-transformers: checked weights, packed batches, unit vectors.

`SentenceTransformer.encode` sorts by characters and cuts batches by count; here texts are tokenised once,
sorted by tokens, and packed so that a forward pass stays within the token budget. A pass has one thread, and
several callers run at once, one a core: sharing one pass means a barrier after every layer, and on a busy
machine each barrier waits for a time slice (seen: 0.73 s instead of 10 ms for one query).
"""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from shared.encoder.description import prompts
from shared.encoder.directory import model_directory
from shared.encoder.fingerprint import fingerprint
from shared.encoder.libraries import loading, quiet
from shared.encoder.packing import pack
from shared.errors import ConfigurationError, FatalError
from shared.ports import Vectors
from shared.settings import ModelSettings

UNIT_TOLERANCE = 1e-3
PASS_TOKENS = {"cpu": 1024, "cuda": 16384}
"""What keeps the device busy: on a CPU, larger passes gain 3 % and make others wait twice as long."""
Tokens = dict[str, list[list[int]]]


class SentenceEncoder:
    """One loaded model, for `threads` callers at once: put `CoalescingEncoder` before it."""

    def __init__(self, settings: ModelSettings) -> None:
        directory = model_directory(settings.path)
        self._device = _device(settings)
        torch.set_num_threads(1)
        cores = settings.threads or len(os.sched_getaffinity(0))
        self.threads = 1 if self._device == "cuda" else cores
        self.pass_tokens = settings.token_budget or PASS_TOKENS[self._device]
        self._model = _load(directory, self._device, _precision(settings, self._device))
        self._tokenizer = self._model.tokenizer
        self._tokenizing = threading.Lock()
        configured = prompts(directory)
        self._query_prompt = settings.query_prompt or configured.get("query", "")
        self._document_prompt = settings.document_prompt or configured.get("document", "")
        self._longest = min(settings.max_tokens, self._model.max_seq_length or settings.max_tokens)
        self.dimensions = int(self._model.get_embedding_dimension() or 0)
        self.fingerprint = fingerprint(
            directory,
            {
                "query_prompt": self._query_prompt,
                "document_prompt": self._document_prompt,
                "max_tokens": self._longest,
                "dimensions": self.dimensions,
                "normalised": True,
            },
        )

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one unit float32 row a text, in order (blocking)."""
        return self._encode([self._document_prompt + text for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Do the same with the model's query prompt."""
        return self._encode([self._query_prompt + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows: Vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return rows
        with self._tokenizing:  # it is not made for two callers: "Already borrowed"
            tokens: Tokens = self._tokenizer(
                list(texts), truncation=True, max_length=self._longest, padding=False, verbose=False
            ).data
        for batch in pack([len(row) for row in tokens["input_ids"]], self.pass_tokens):
            rows[batch] = self._forward(tokens, batch)
        return _unit(rows)

    @torch.inference_mode()
    def _forward(self, tokens: Tokens, batch: Sequence[int]) -> Vectors:
        """Run one padded batch through the model."""
        shape = len(batch), max(len(tokens["input_ids"][index]) for index in batch)
        features: dict[str, Any] = {}  # Any: sentence-transformers' own mixture
        for name, rows in tokens.items():
            padding = self._tokenizer.pad_token_id or 0 if name == "input_ids" else 0
            table = np.full(shape, padding, dtype=np.int64)
            for row, index in enumerate(batch):
                table[row, : len(rows[index])] = rows[index]
            features[name] = torch.from_numpy(table).to(self._device)
        embedded: torch.Tensor = self._model(features)["sentence_embedding"]
        vectors: Vectors = embedded.float().cpu().numpy()
        return vectors


def _unit(rows: Vectors) -> Vectors:
    """Return the rows at unit length; raises `FatalError` when one has none (an index would be poisoned)."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise FatalError("the model gave a vector that is zero or not finite: its weights are damaged")
    if np.abs(norms - 1).max() > UNIT_TOLERANCE:
        rows = rows / norms
    return rows.astype(np.float32, copy=False)


def _load(directory: Path, device: str, precision: torch.dtype) -> SentenceTransformer:
    quiet()
    return SentenceTransformer(str(directory), **loading(device, precision)).eval()


def _device(settings: ModelSettings) -> str:
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise ConfigurationError("model.device: this machine has no CUDA device; use auto or cpu")
    return "cuda" if available and settings.device != "cpu" else "cpu"


def _precision(settings: ModelSettings, device: str) -> torch.dtype:
    """Choose bf16 where the processor multiplies it in hardware, else fp32 (bf16 is slower without)."""
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else has_amx(_processor())
    wanted = settings.precision == "bf16" or (settings.precision == "auto" and fast)
    return torch.bfloat16 if wanted else torch.float32


def has_amx(processor: Iterable[str]) -> bool:
    """Whether the lines of /proc/cpuinfo name AMX's bf16 tiles."""
    return any("amx_bf16" in line.split() for line in processor if line.startswith("flags"))


def _processor() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
