"""Which runtime runs a model here: the one that is configured, or the quickest of those with its vectors.

A converted model is compared with torch once, when it is made, and kept with its tokenizer. What was
measured is remembered by machine. So a later start loads what was chosen, and neither torch nor transformers.
Where torch is not installed, `without_torch` chooses.
"""

import platform
import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from schemas.control import ModelProbe
from shared.encoder.conversions import LIBRARIES, Conversions
from shared.encoder.description import Encoding
from shared.encoder.runtimes.head import read_transformer
from shared.encoder.runtimes.port import (
    AGREEMENT,
    HALF_AGREEMENT,
    Features,
    RuntimeName,
    UnsupportedModelError,
)
from shared.encoder.runtimes.processor import may_have_cuda, processor
from shared.encoder.runtimes.proof import agreement, sample_batches
from shared.encoder.sentence import SentenceEncoder
from shared.encoder.tokens import IDS, FastTokenizer, tokenizer_of
from shared.encoder.without_torch import load_without_torch
from shared.errors import ConfigurationError
from shared.extras import TORCH, is_installed
from shared.settings import ModelSettings

if TYPE_CHECKING:
    from shared.encoder.runtimes.torch_runtime import TorchRuntime

log = structlog.get_logger()
WORTH_BYTES = 4 << 20
"""Of weights: with less, `auto` converts and measures nothing."""
ROUNDS = 3
ROUND_SECONDS = 3.0
"""After a round that took longer, no other follows."""
MEASURED = {16: 32, 64: 4, 8: 1}
"""Tokens of a text, and so many of them: titles, passages, and a query alone."""


def load_sentence_encoder(
    encoding: Encoding, settings: ModelSettings, noted: Sequence[ModelProbe] = ()
) -> SentenceEncoder:
    """Load a checked directory (seconds; with a runtime that was not asked for before, more of them).

    `noted` are vectors that the model is known to give: where torch is not installed, what is converted is
    held against them. Raises `ConfigurationError` when the library gives other vectors, and
    `UnsupportedModelError` when the configured runtime cannot run the model, or not with its vectors.
    """
    if not is_installed(*TORCH):
        return load_without_torch(encoding, settings, noted)
    return _Candidates(encoding, settings).choose()


class _Candidates:
    """One model in every runtime, each loaded when it is asked for."""

    def __init__(self, encoding: Encoding, settings: ModelSettings) -> None:
        self._encoding = encoding
        self._directory = encoding.directory
        self._settings = settings
        self._conversions = Conversions(encoding, settings)

    def choose(self) -> SentenceEncoder:
        """Return the configured one, or the quickest."""
        wanted = self._settings.runtime
        if self._conversions.precision == "int8":
            if wanted not in ("auto", "ctranslate2"):
                raise ConfigurationError(f"model.runtime: int8 is computed by ctranslate2, not by {wanted}")
            return self._converted("ctranslate2")
        if wanted == "torch" or self._settings.device == "cuda":
            return self._torch
        if wanted != "auto":
            return self._converted(wanted)
        if may_have_cuda(self._settings.device) and self._reference.device == "cuda":
            return self._torch
        return self._quickest()

    def _quickest(self) -> SentenceEncoder:
        if sum(file.stat().st_size for file in self._directory.rglob("*.safetensors")) < WORTH_BYTES:
            return self._torch
        measured = f"{_machine()} {self._settings.precision}"
        remembered = self._conversions.recall(measured)
        try:
            if remembered is not None:
                chosen = self._torch if remembered == "torch" else self._converted(remembered)
            else:
                chosen = self._measured()
                self._conversions.remember(measured, chosen.runtime.name)
        except OSError as error:
            _warn(str(error), str(self._settings.cache))
            return self._torch
        return chosen

    def _measured(self) -> SentenceEncoder:
        """Return the quickest, by CPU-time; torch where nothing else gives its vectors."""
        reasons = {}
        for name in ("ctranslate2", "onnx"):
            try:
                other = self._converted(name)
                break
            except UnsupportedModelError as error:
                reasons[name] = str(error)
        else:
            log.info("model.runtime", runtime="torch", reasons=reasons)
            return self._torch
        seconds = measure([self._torch, other])
        ratio = seconds[0] / seconds[1]
        chosen = other if ratio > 1 else self._torch
        log.info("model.runtime", runtime=chosen.runtime.name, times_torch=round(ratio, 2), reasons=reasons)
        return chosen

    def _converted(self, name: RuntimeName) -> SentenceEncoder:
        """Return the model in a runtime that it is converted for, from the cache, or made now."""
        return self._conversions.get(name, self._to_ctranslate2 if name == "ctranslate2" else self._to_onnx)

    def _to_ctranslate2(self, target: Path) -> None:
        from shared.encoder.runtimes.ctranslate2_conversion import convert  # noqa: PLC0415 - heavy

        convert(read_transformer(self._directory).module.folder, target)
        self._prove("ctranslate2", target)

    def _to_onnx(self, target: Path) -> None:
        from shared.encoder.runtimes.onnx_export import export  # noqa: PLC0415 - heavy

        tokenizer = self._fast_tokenizer()
        export(self._reference.model, list(tokenizer.features(tokenizer.tokens(["lamp"]), [0])), target)
        self._prove("onnx", target)

    def _prove(self, name: RuntimeName, target: Path) -> None:
        """Raise `UnsupportedModelError` unless what was converted gives torch's vectors, in fp32."""
        tokenizer = self._fast_tokenizer()
        runtime = self._conversions.run(name, target, "fp32")
        cosine = agreement(runtime, self._reference, sample_batches(tokenizer))
        log.info("model.converted", runtime=name, directory=str(self._directory), least_cosine=cosine)
        if not cosine >= AGREEMENT:
            raise UnsupportedModelError(
                f"{self._directory}: {name} gives other vectors than torch (cosine {cosine:.5f})"
            )
        tokenizer.write(target)

    def _fast_tokenizer(self) -> FastTokenizer:
        tokenizer = FastTokenizer.of(self._reference.model.tokenizer, self._encoding.max_tokens)
        if tokenizer is None:
            raise UnsupportedModelError(f"{self._directory}: only transformers reads its texts as it does")
        return tokenizer

    @cached_property
    def _reference(self) -> "TorchRuntime":
        """The model in torch, in fp32, which gives the library's vectors."""
        device = "cpu" if self._conversions.precision == "int8" else self._settings.device
        return self._in_torch("fp32", device)

    @cached_property
    def _torch(self) -> SentenceEncoder:
        """The model in torch, in the precision that is configured, if it gives nearly the vectors of fp32."""
        from shared.encoder.runtimes.torch_runtime import is_half  # noqa: PLC0415 - heavy

        tokenizer = tokenizer_of(self._reference.model.tokenizer, self._encoding.max_tokens)
        whole = SentenceEncoder(self._encoding, self._reference, tokenizer)
        if not is_half(self._settings):
            return whole
        half = self._in_torch("bf16", self._settings.device)
        cosine = agreement(half, self._reference, sample_batches(tokenizer))
        if cosine >= HALF_AGREEMENT:
            return SentenceEncoder(self._encoding, half, tokenizer)
        reason = f"{self._directory}: bf16 gives other vectors than fp32 (cosine {cosine:.5f})"
        if self._settings.precision == "bf16":
            raise UnsupportedModelError(f"{reason}; set model.precision to fp32")
        log.info("model.precision", precision="fp32", reason=reason)
        return whole

    def _in_torch(self, precision: str, device: str) -> "TorchRuntime":
        from shared.encoder.comparison import check_vectors  # noqa: PLC0415 - heavy
        from shared.encoder.library import limit  # noqa: PLC0415 - heavy
        from shared.encoder.runtimes.torch_runtime import TorchRuntime  # noqa: PLC0415 - heavy

        settings = self._settings.model_copy(update={"precision": precision, "device": device})
        runtime = TorchRuntime(self._directory, settings)
        most, longest = settings.max_tokens, self._encoding.max_tokens
        if min(most, runtime.model.max_seq_length or most) != longest:
            raise ConfigurationError(
                f"{self._directory}: reads {runtime.model.max_seq_length} tokens, its files say {longest}: "
                "write max_seq_length into sentence_bert_config.json"
            )
        limit(runtime.model, longest)
        tokenizer = tokenizer_of(runtime.model.tokenizer, longest)
        check_vectors(SentenceEncoder(self._encoding, runtime, tokenizer), runtime.model, self._encoding)
        return runtime


def measure(candidates: Sequence[SentenceEncoder]) -> list[float]:
    """Return the CPU-seconds that each takes for the same tokens, the least of some rounds in turn."""
    todo = [_passes(encoder) for encoder in candidates]
    least = [float("inf")] * len(todo)
    for _ in range(ROUNDS):
        began = time.monotonic()
        for number, run in enumerate(todo):
            before = time.process_time()
            run()
            least[number] = min(least[number], time.process_time() - before)
        if time.monotonic() - began > ROUND_SECONDS:
            break
    return least


def _passes(encoder: SentenceEncoder) -> Callable[[], None]:
    """Return what runs the measured texts through a model, in passes of its size; it is warm by then."""
    runtime, tokenizer = encoder.runtime, encoder.tokenizer
    batches: list[Features] = []
    for length, texts in MEASURED.items():
        tokens = tokenizer.tokens(["lamp " * length] * texts)
        tokens = {name: [row[:length] for row in rows] for name, rows in tokens.items()}
        size = max(1, runtime.pass_tokens // len(tokens[IDS][0]))
        batches += [
            tokenizer.features(tokens, range(start, min(start + size, texts)))
            for start in range(0, texts, size)
        ]
    runtime.forward(batches[-1])

    def run() -> None:
        for batch in batches:
            runtime.forward(batch)

    return run


def _machine() -> str:
    """Return what kind of machine this is: its processor, and the versions of what runs on it."""
    lines = {line for line in processor() if line.startswith(("model name", "flags"))}
    kind = [platform.machine(), *sorted(lines), *map(version, LIBRARIES.values())]
    return sha256("\n".join(kind).encode()).hexdigest()[:16]


@cache
def _warn(error: str, directory: str) -> None:
    """Say once that models cannot be kept."""
    log.warning(
        "model.cache_unusable",
        error=error,
        fix=f"the model runs on torch, slower: make {directory} writable, or set model.cache",
    )
