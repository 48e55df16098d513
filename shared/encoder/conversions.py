"""What one model is converted to, for runtimes other than torch: made once, kept, and run."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.encoder.description import Encoding
from shared.encoder.fingerprint import fingerprint
from shared.encoder.runtimes.cache import ConversionCache
from shared.encoder.runtimes.head import read_transformer
from shared.encoder.runtimes.port import Runtime, RuntimeName
from shared.encoder.sentence import SentenceEncoder
from shared.encoder.tokens import FastTokenizer
from shared.settings import ModelSettings

CONVERTER = 2
"""Raised when what is written into an entry changes."""
LIBRARIES: dict[RuntimeName, str] = {"torch": "torch", "ctranslate2": "ctranslate2", "onnx": "onnxruntime"}


class Conversions:
    """One model in other runtimes. An entry is named by the model's files and the runtime's version."""

    def __init__(self, encoding: Encoding, settings: ModelSettings) -> None:
        self.encoding = encoding
        self.precision = "int8" if settings.precision == "int8" else "fp32"
        self._settings = settings
        self._cache = ConversionCache(settings.cache)
        self._threads = settings.threads or len(os.sched_getaffinity(0))

    def get(self, name: RuntimeName, make: Callable[[Path], None], *, by: str = "") -> SentenceEncoder:
        """Return the model in a runtime: what is kept, or what `make` writes into a directory now.

        `by` names another way of making it. Raises `UnsupportedModelError` as `make` does, and `OSError`
        when nothing can be kept.
        """
        return self.load(name, self._cache.get(self._entry(name, by), make))

    def kept(self, name: RuntimeName) -> SentenceEncoder | None:
        """Return the model in a runtime when it is kept already; it was compared with torch then."""
        entry = self._cache.find(self._entry(name))
        return None if entry is None else self.load(name, entry)

    def load(self, name: RuntimeName, entry: Path) -> SentenceEncoder:
        """Return the model that lies in a directory, with the tokenizer beside it."""
        tokenizer = FastTokenizer.read(entry, self.encoding.max_tokens)
        return SentenceEncoder(self.encoding, self.run(name, entry), tokenizer)

    def run(self, name: RuntimeName, entry: Path, precision: str = "") -> Runtime:
        """Return what runs it, in the configured precision unless another one is given."""
        head = read_transformer(self.encoding.directory).head
        sizes = {"threads": self._threads, "pass_tokens": self._settings.token_budget}
        if name == "ctranslate2":
            from shared.encoder.runtimes.ctranslate2_runtime import CTranslate2Runtime  # noqa: PLC0415 - heavy

            return CTranslate2Runtime(entry, head, precision=precision or self.precision, **sizes)
        from shared.encoder.runtimes.onnx_runtime import OnnxRuntime  # noqa: PLC0415 - heavy

        return OnnxRuntime(entry, head, **sizes)

    def recall(self, what: str) -> Any:  # Any: JSON that was remembered
        """Return what was remembered of the model under a name, None when nothing was."""
        return self._cache.recall(self._key(what))

    def remember(self, what: str, value: object) -> None:
        """Remember it; raises `OSError` when nothing can be kept."""
        self._cache.remember(self._key(what), value)

    def _entry(self, name: RuntimeName, by: str = "") -> str:
        return self._key(f"{name} {version(LIBRARIES[name])}{by}")

    def _key(self, what: str) -> str:
        return fingerprint(self.encoding.directory, {"made": what, "converter": CONVERTER})
